"""Tasks: what people ask of models in words that somebody has thought about, the same words each time.

In reading order: `preparing`, a template and its inputs made into requests; `schema`, `reading` and `result`, what is
made of the answer. What a template is, and where they are, is in `tallynet.templates`, which auditors use too.
"""

from tallynet.client.tasks.preparing import Inputs, PreparedTask, show_prompt
from tallynet.client.tasks.result import TaskResult
from tallynet.client.tasks.schema import Json
from tallynet.templates.shelf import find_template, list_templates
from tallynet.templates.template import Example, Template, read_template

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
