"""Tasks on a terminal: asked, told to people or as JSON, and their proof kept."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.progress import Progress

from tallynet.client.answer import Answer
from tallynet.client.blocking import BlockingStream, Client
from tallynet.client.display import describe_answer, summary, write
from tallynet.client.showing import keep_answer, show_stream
from tallynet.client.tasks.preparing import PreparedTask, show_prompt
from tallynet.client.tasks.result import TaskResult, read_result
from tallynet.client.terms import AskOptions
from tallynet.console.terminal import FAILED, Terminal


@dataclass(frozen=True, slots=True)
class Proof:
    """Where the bundle goes, if anywhere, and how many seconds its anchor is waited for."""

    file: Path | None
    seconds: float

    def keep(self, client: Client, answer: Answer, terminal: Terminal) -> str:
        """Save it. Returns the level of evidence."""
        if self.file is None:
            return answer.evidence
        return keep_answer(client, answer, self.file, self.seconds, terminal)


def run_prepared(
    client: Client, task: PreparedTask, options: AskOptions, proof: Proof, terminal: Terminal, *, show: bool
) -> None:
    """Ask, and tell what comes of it; with `show`, only the prompt."""
    if show:
        tell_prompt(task, terminal)
        return
    reads_text = task.template.reads == "text"
    stream = client.stream_task(task, **options)
    answer = show_stream(stream, terminal) if reads_text else _await_answer(stream, terminal)
    evidence = proof.keep(client, answer, terminal)
    result = read_result(task, answer)
    if not reads_text:
        write(terminal.out, _words(result) + "\n")
    terminal.result(describe_result(result, evidence=evidence, saved=proof.file))
    if not answer.status.finished:
        raise typer.Exit(FAILED)


def tell_prompt(task: PreparedTask, terminal: Terminal) -> None:
    """What would be asked, and of whom."""
    write(terminal.out, show_prompt(task.request) + "\n")
    terminal.result({"prompt": show_prompt(task.request), **describe_task(task)})


def describe_result(result: TaskResult, *, evidence: str, saved: Path | None) -> dict[str, object]:
    """The JSON object of a task: as that of `tallynet ask`, with the value and what it was asked with."""
    told = describe_answer(result.answer, evidence=evidence, saved=saved)
    return {"value": result.value, **told, **describe_task(result.task)}


@contextmanager
def show_progress(what: str, terminal: Terminal) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr while the block lasts; the function that moves it is told how much of how much is done."""
    with Progress(console=terminal.notes, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _await_answer(stream: BlockingStream, terminal: Terminal) -> Answer:
    """For an answer that is judged before it is shown."""
    with terminal.notes.status("Waiting for the answer…"), stream:
        for _ in stream:
            continue
    terminal.notes.print(summary(stream.answer))
    return stream.answer


def _words(result: TaskResult) -> str:
    """A value for people."""
    return result.value if isinstance(result.value, str) else json.dumps(result.value, ensure_ascii=False, indent=2)


def describe_task(task: PreparedTask) -> dict[str, object]:
    return {
        "template": {"name": task.template.label, "digest": task.template.digest.hex()},
        "documents": [digest.hex() for digest in task.request.documents],
    }
