"""Prompt templates: words for what people ask of models, in files with a version, in the same form for whoever asks
with them and whoever checks what was asked.

In reading order: `template`, one file and its form for each kind of model; `shelf`, where they are; `jinja` and
`languages`, how they are filled in; `wording`, the same for the step of a flow, whose inputs are answers that nobody
has yet (`blank`), and `wording_check`, whether a step's words are those of the template that it names. `shipped/` holds
those that come with the package.
"""
