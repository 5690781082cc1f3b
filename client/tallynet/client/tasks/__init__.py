"""Tasks: what people ask of models in words that somebody has thought about, the same words each time.

In reading order: `template`, a file with a version and a form for each kind of model, and `shelf`, where they are;
`jinja` and `languages`, how they are filled in; `preparing`, a template and its inputs made into requests; `schema`,
`reading` and `result`, what is made of the answer. `templates/` holds those that ship with the package.
"""

from tallynet.client.tasks.preparing import Inputs, PreparedTask, show_prompt
from tallynet.client.tasks.result import TaskResult
from tallynet.client.tasks.schema import Json
from tallynet.client.tasks.shelf import find_template, list_templates
from tallynet.client.tasks.template import Example, Template, read_template

__all__ = [
    "Example",
    "Inputs",
    "Json",
    "PreparedTask",
    "TaskResult",
    "Template",
    "find_template",
    "list_templates",
    "read_template",
    "show_prompt",
]
