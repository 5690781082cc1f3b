"""(6) A bundle made again: from its file and the model's files to a verdict.

The bundle's own checks come first (`verify`): a replay says nothing about a run whose words are not the node's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tallynet.audit.embedding_replay import EmbeddingReplayer
from tallynet.audit.judgement import Ending, Judgement, judge
from tallynet.audit.score_replay import replay_score
from tallynet.audit.thresholds import ThresholdFile, Thresholds
from tallynet.engine.embedder import read_task
from tallynet.engine.environments import Environment, find_environment
from tallynet.engine.evidence import read_records
from tallynet.engine.hardware import Hardware, choose_hardware
from tallynet.engine.manifest import read_manifest
from tallynet.engine.observation import Claim, Observation
from tallynet.engine.replay import Replayer
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.commitment import seed
from tallynet.protocol.errors import InvalidBundle, InvalidJob, Misconfigured
from tallynet.protocol.job import Task
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.request import Bias, decode_request
from tallynet.protocol.units import TokenIds, prefixed, short

Say = Callable[[str], None]
OTHER_MODEL = "that the thresholds fit: they were measured on another model (`tallynet calibrate`)"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay, and where it was made."""

    judgement: Judgement
    pair: str
    """Whose thresholds were used: `NODE/AUDITOR` number formats, or `any`."""
    environment: Environment | None
    """The node's, where it is one that is possible here."""
    weighed: "Weighed | None" = None
    """For a judgement together with other runs; None for an embedding or a score, where no tokens were chosen."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What was claimed, what was seen, and by which thresholds it was weighed."""

    claim: Claim
    seen: Observation
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Terms:
    """How to replay."""

    device: str = "auto"
    dtype: str = "auto"
    """Where the node's environment is not known; else its own is used."""
    exact: bool = True
    """Decode again, token by token, where the environments match."""
    context_length: int | None = None
    """What the node lowered its model's context length to, in tokens."""


class Bench:
    """A model's files and the replayers that were loaded from them, one for each number format and kernel."""

    def __init__(self, directory: Path, thresholds: ThresholdFile, terms: Terms) -> None:
        """Raises `Misconfigured` for a directory that is no model."""
        self.model = read_manifest(directory).model_id
        self.task = read_task(directory)
        """What the model does."""
        self._directory = directory
        self._thresholds = thresholds
        self._terms = terms
        self._loaded: dict[tuple[str, str | None], Replayer] = {}
        self._embedders: dict[str, EmbeddingReplayer] = {}

    def replay(self, bundle: Bundle, say: Say) -> Replayed:
        """Make one run again. Raises `Misconfigured` when it is of another model or not open, `InvalidBundle` for
        evidence of no known form and for tokens that the model can't have."""
        leaf = Leaf.unpack(bundle.receipt.leaf)
        if leaf.model != self.model:
            raise Misconfigured(
                f"The run is of model {short(leaf.model)}, the files in {self._directory} are model "
                f"{short(self.model)}.",
                remedy="Name the directory of the run's own model with --model.",
            )
        say("looking for the node's environment…")
        usual = choose_hardware(self._terms.device, self._terms.dtype)
        environment = find_environment(leaf.runtime, usual.device)
        if bundle.job.job.task == Task.EMBED:
            return self._embed(bundle, usual, environment)
        replayer = self._replayer(environment.hardware if environment else usual, environment)
        pair, thresholds = self._thresholds.of(
            environment.hardware.dtype_name if environment else None, replayer.hardware.dtype_name
        )
        if bundle.job.job.task == Task.SCORE:
            notes = () if self._fits_thresholds else (OTHER_MODEL,)
            threads = environment.threads if environment and self._terms.exact else None
            return Replayed(replay_score(replayer, bundle, thresholds, threads, notes, say), pair, environment)
        claim = claim_of(bundle)
        seen = _observe(replayer, claim, thresholds.slack, say)
        if environment is not None and self._terms.exact and claim.records:
            groups, tried = replayer.count_exact(
                claim, environment.threads, lambda done, of: say(f"token {done} of {of}, decoded again…")
            )
            seen = replace(seen, exact_groups=groups, exact_tried=tried)
        if not self._fits_thresholds:
            seen = replace(seen, notes=(*seen.notes, OTHER_MODEL))
        ending = _ending(bundle, leaf, claim, replayer)
        judgement = judge(claim, seen, thresholds, ending, same_place=environment is not None)
        return Replayed(judgement, pair, environment, Weighed(claim, seen, thresholds))

    @property
    def _fits_thresholds(self) -> bool:
        return bool(self._thresholds.evidence.get("model") == prefixed(self.model))

    def _embed(self, bundle: Bundle, usual: Hardware, environment: Environment | None) -> Replayed:
        hardware, theirs = usual, None
        if environment is not None:
            hardware, theirs = environment.hardware, environment.hardware.dtype_name
        if hardware.dtype_name not in self._embedders:
            self._embedders[hardware.dtype_name] = EmbeddingReplayer(self._directory, hardware)
        judgement = self._embedders[hardware.dtype_name].replay(bundle, theirs)
        return Replayed(judgement, f"{theirs or 'any'}/{hardware.dtype_name}", environment)

    def _replayer(self, hardware: Hardware, environment: Environment | None) -> Replayer:
        attention = environment.attention if environment else None
        key = (hardware.dtype_name, attention)
        if key not in self._loaded:
            self._loaded[key] = Replayer(
                self._directory, hardware, attention=attention, longest_context=self._terms.context_length
            )
        return self._loaded[key]


def _observe(replayer: Replayer, claim: Claim, slack: float, say: Say) -> Observation:
    """Raises `InvalidBundle` for a run that no such model makes: that is its node's fault, not ours."""
    try:
        return replayer.observe(claim, slack=slack, say=lambda done, of: say(f"token {done} of {of}…"))
    except Misconfigured as error:
        raise InvalidBundle(error.message, check=6) from error


def claim_of(bundle: Bundle) -> Claim:
    """What the node says it did. Raises `Misconfigured` for a bundle that does not open the whole conversation,
    `InvalidBundle` for evidence of no known form."""
    opening, job = bundle.opening, bundle.job.job
    if not isinstance(opening, Whole):
        raise Misconfigured(
            "The bundle does not open the whole run: a replay needs every token.",
            remedy="Take the file that the client saved itself.",
        )
    try:
        records = read_records(b"".join(body.evidence for body in opening.chunks))
    except ValueError as error:
        raise InvalidBundle(f"its evidence has no known form: {error}", check=6) from error
    tokens = tuple(token for body in opening.chunks for token in body.tokens)
    logprobs = tuple(value for body in opening.chunks for value in body.logprobs)
    schema, biases = _wishes_of(opening.request)
    return Claim(
        opening.prompt, job.sampling, seed(bundle.receipt.receipt.job), tokens, logprobs, records, schema, biases
    )


def _wishes_of(request: bytes) -> tuple[str, tuple[Bias, ...]]:
    """The schema and the biases that the answer was asked for with; none for a request that nobody can read."""
    try:
        read = decode_request(request)
    except InvalidJob:
        return "", ()
    return read.schema, read.logit_bias


def _ending(bundle: Bundle, leaf: Leaf, claim: Claim, replayer: Replayer) -> Ending:
    assert isinstance(bundle.opening, Whole)
    retold = replayer.retell(claim)
    said = "".join(body.text for body in bundle.opening.chunks)
    return Ending(
        leaf.status.name.lower(),
        retold.finish.name.lower() if retold.finish is not None else "",
        leaf.status.finished,
        retold.left,
        retold.text == said,
        _prompt_of(bundle.opening.request, replayer) == claim.prompt,
    )


def _prompt_of(request: bytes, replayer: Replayer) -> TokenIds:
    """Empty for a request that the model does not take: no honest node ran it."""
    try:
        return replayer.encode(decode_request(request))
    except InvalidJob:
        return ()
