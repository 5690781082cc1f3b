"""What a task comes to: the value, and the answer behind it with everything that holds the node to it."""

from dataclasses import dataclass

from tallynet.client.answer import Answer
from tallynet.client.tasks.preparing import PreparedTask
from tallynet.client.tasks.reading import read_value
from tallynet.client.tasks.schema import Json
from tallynet.protocol.errors import UnfitAnswer
from tallynet.protocol.receipt import VerifiedReceipt


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A value that is what the task asks for; whether it is true, nobody checked."""

    value: Json
    """A text, one of the labels, or JSON that fits the schema, as the template says."""
    answer: Answer
    task: PreparedTask

    @property
    def text(self) -> str:
        """The model's own words."""
        return self.answer.text

    @property
    def evidence(self) -> str:
        """See `Answer.evidence`."""
        return self.answer.evidence

    @property
    def receipt(self) -> VerifiedReceipt:
        """Of the node, verified: see `Answer.receipt`."""
        return self.answer.receipt


def read_result(task: PreparedTask, answer: Answer) -> TaskResult:
    """Raises `UnfitAnswer`, with the answer, when it is not what the task asks for."""
    try:
        return TaskResult(read_value(task.template, task.inputs, answer.text), answer, task)
    except UnfitAnswer as error:
        error.answer = answer
        raise
