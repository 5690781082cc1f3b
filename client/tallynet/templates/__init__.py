"""Prompt templates: words for what people ask of models, in files with a version, in the same form for whoever asks
with them and whoever checks what was asked.

In reading order: `template`, one file and its form for each kind of model; `shelf`, where they are; `jinja` and
`languages`, how they are filled in. `shipped/` holds those that come with the package.
"""
