"""Answers of an evaluation that is under way, on disk: what was answered and paid for is not asked a second time.

One bundle a question, in a folder of its own for each suite and model. Nothing in it is believed: what does not answer
its question, by all of its own checks, is asked again.
"""

import logging
from pathlib import Path

from tallynet.client.answer import save_bundle
from tallynet.evaluation.questions import Question
from tallynet.evaluation.report_checks import check_asked, check_finished, open_whole
from tallynet.evaluation.suite import Suite
from tallynet.protocol.bundle import MAX_BUNDLE_BYTES, SUFFIX, Bundle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Invalid, Misconfigured
from tallynet.protocol.units import ModelId, prefixed

log = logging.getLogger(__name__)


class KeptAnswers:
    """The answers to one suite by one model, on one network."""

    def __init__(self, folder: Path, suite: Suite, model: ModelId, domain: Domain) -> None:
        """`folder` may hold the answers of several evaluations. Raises `Misconfigured` when it cannot be made."""
        self._folder = folder / f"{suite.name}-{suite.digest.hex()[:16]}-{model.hex()[:16]}"
        self._model = prefixed(model)
        self._domain = domain
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Misconfigured(
                f"The folder {self._folder} cannot be made: {error.strerror}.", remedy="Name one that you may write to."
            ) from error

    def find(self, question: Question) -> Bundle | None:
        """The answer that is kept; None where there is none that holds. Raises `Misconfigured`."""
        text = self._read(self._place(question))
        if text is None:
            return None
        try:
            bundle = open_whole(text, self._domain)
            check_asked(question, bundle, prefixed(bundle.job.job.client), self._model)
            check_finished(question, bundle)
        except Invalid as error:
            log.warning("What is kept for %s is no answer to it, so it is asked again: %s", question.name, error)
            return None
        return bundle

    def keep(self, question: Question, bundle: Bundle) -> None:
        """Raises `Misconfigured` when it cannot be written."""
        save_bundle(bundle, self._place(question))

    def _place(self, question: Question) -> Path:
        side = f"-{question.side}" if question.side else ""
        return self._folder / f"{question.part}-{question.item}{side}{SUFFIX}"

    def _read(self, path: Path) -> str | None:
        try:
            with path.open("rb") as file:
                return file.read(MAX_BUNDLE_BYTES + 1).decode(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Misconfigured(
                f"The kept answer {path} cannot be read: {error.strerror}.", remedy="Remove it: it is then asked again."
            ) from error
