"""(6) A vector made again: is it the one that the model makes of this text, up to float noise?

Source: spec chapter 6, "Replay of embeddings".
"""

from pathlib import Path

from tallynet.audit.judgement import Check, Judgement, Verdict
from tallynet.engine.embedder import Embedder
from tallynet.engine.hardware import Hardware
from tallynet.engine.tokenizer import Tokenizer
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.embedding import EmbeddingDistance, read_embedding
from tallynet.protocol.errors import InvalidBundle, InvalidChunk, InvalidJob, Misconfigured
from tallynet.protocol.request import decode_request
from tallynet.protocol.units import TokenIds

LOOSEST = "bfloat16"
"""Whose tolerance counts where the node's number format is not known."""
NOT_CHECKED = "whether a distance within float noise hides a smaller change of the model"


class EmbeddingReplayer:
    """A loaded model and its tokenizer: runs of one number format are made again with one of them."""

    def __init__(self, directory: Path, hardware: Hardware) -> None:
        """Raises `Misconfigured` for a directory that holds no such model."""
        self._embedder = Embedder(directory, hardware)
        self._tokenizer = Tokenizer(directory)

    def replay(self, bundle: Bundle, number_format: str | None) -> Judgement:
        """Make the vector of a bundle again; `number_format` is the node's, where it is known.

        Raises `Misconfigured` for a bundle that is not open, `InvalidBundle` for an answer that is no vector of this
        model.
        """
        opening = bundle.opening
        if not isinstance(opening, Whole):
            raise Misconfigured(
                "The bundle does not open the whole run: a replay needs its text and its vector.",
                remedy="Take the file that the client saved itself.",
            )
        same = self._prompt_of(opening.request) == opening.prompt
        distance = self._distance(opening, number_format or LOOSEST)
        checks = _check_prompt(same), _check_distance(distance)
        return Judgement(checks, len(opening.prompt), (NOT_CHECKED,), "The vector is the model's, up to float noise.")

    def _prompt_of(self, request: bytes) -> TokenIds:
        """Empty for a request that the model does not take: no honest node ran it."""
        try:
            return self._tokenizer.encode(decode_request(request))
        except InvalidJob:
            return ()

    def _distance(self, opening: Whole, number_format: str) -> EmbeddingDistance:
        try:
            claimed = read_embedding("".join(body.text for body in opening.chunks))
            return self._embedder.replay(opening.prompt, claimed, number_format)
        except InvalidChunk as error:
            raise InvalidBundle(f"its answer is no vector of this model: {error}", check=7) from error


def _check_prompt(same: bool) -> Check:
    # (1) the prompt is the request's tokens
    says = "the prompt is the request's" if same else "the prompt is not that of the request"
    return Check(1, "prompt", Verdict.PASS if same else Verdict.FAIL, float(not same), 1.0, 1.0, says)


def _check_distance(distance: EmbeddingDistance) -> Check:
    # (2) the vector is no further from the model's than float noise reaches
    says = f"the vectors differ by {distance.difference:.2g}, honest ones by up to {distance.tolerance:.2g}"
    verdict = Verdict.PASS if distance.holds else Verdict.FAIL
    return Check(2, "vector", verdict, distance.difference, distance.tolerance, distance.tolerance, says)
