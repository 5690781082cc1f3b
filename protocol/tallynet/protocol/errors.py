"""Everything that is expected to go wrong, as one tree.

    TallyError
    ├── Invalid                 a peer sent something wrong: reject it; carries the evidence
    │   ├── InvalidFrame        bytes on the wire that are no message of ours
    │   ├── InvalidSignature    a signature that is malformed or by somebody else
    │   ├── InvalidJob          a job that breaks a rule of spec chapter 1 or 2
    │   ├── InvalidChunk        a streamed chunk that breaks a rule of chapter 3
    │   ├── InvalidReceipt      a receipt or leaf that breaks a rule of chapter 4
    │   ├── InvalidCheckpoint   a signed log head that contradicts the log or the chain (chapter 5)
    │   ├── InvalidProof        an inclusion or consistency proof that does not hold (chapter 5)
    │   ├── InvalidAdvert       an advert that breaks a rule of chapter 2
    │   ├── InvalidManifest     model files that differ from their manifest
    │   ├── InvalidOpening      a question for a logged run's words, or the answer, that breaks a rule of chapter 6
    │   ├── InvalidReport       an auditor's report that is malformed or does not follow from its own runs (chapter 6)
    │   ├── InvalidBundle       a `.tally` file that is malformed or contradicts itself (chapter 6)
    │   ├── InvalidFlow         a flow's definition or file that breaks a rule of chapter 7; may name the step
    │   └── InvalidEvidence     what is said to prove a node's fault and does not (chapter 5)
    ├── Deferred                not now: nobody is at fault, `retry_after_ms` says when
    │   ├── Busy                the node has no free slot, or the same job is being started
    │   └── Pending             the evidence does not exist yet, e.g. not anchored
    ├── Unreachable             the world: no route, no answer in time, connection lost
    │   ├── NodeUnreachable
    │   ├── NoNodes             nobody offers what was asked for
    │   └── ChainUnreachable
    ├── Refused                 the contract or a node said no, with its reason
    ├── UnfitAnswer             the model's answer is not what the task asks for; nobody is at fault, and it is paid
    ├── StepFailed              a step of a flow could not be done; what was done before it is kept
    └── Misconfigured           our own side: a config file, a keystore, a model directory

Plain bugs stay Python's own exceptions. Printing and exit codes live in `tallynet.console`.
"""

from collections.abc import Mapping
from typing import ClassVar

Evidence = Mapping[str, object]
"""What proves the fault: the two values compared, the signed bytes, the peer."""


class TallyError(Exception):
    """Base of everything expected to go wrong.

    `message` is one sentence saying what happened, `remedy` one sentence saying what to do next.
    """

    code: ClassVar[str] = "error"
    """Stable name of the kind, on the wire and in JSON."""

    remedy_default: ClassVar[str] = "Run the command again with --debug for the details."

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy or self.remedy_default


class Invalid(TallyError):
    """A peer's fault. `check` is the number of the broken rule in the spec chapter, where it has one."""

    code = "invalid"
    remedy_default = "Do not retry the same bytes; report the peer if it repeats."

    def __init__(
        self,
        message: str,
        *,
        check: int | None = None,
        evidence: Evidence | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.check = check
        self.evidence: Evidence = evidence or {}

    def __str__(self) -> str:
        return self.message if self.check is None else f"({self.check}) {self.message}"


class InvalidFrame(Invalid):
    code = "invalid-frame"
    remedy_default = "Check that both sides speak the same protocol version."


class InvalidSignature(Invalid):
    code = "invalid-signature"


class InvalidJob(Invalid):
    code = "invalid-job"
    remedy_default = "Correct the job and sign it again."


class InvalidChunk(Invalid):
    code = "invalid-chunk"
    remedy_default = "Stop paying this node and send the job to another one; the chunk is evidence."


class InvalidReceipt(Invalid):
    code = "invalid-receipt"
    remedy_default = "Keep the receipt as evidence and send the job to another node."


class InvalidCheckpoint(Invalid):
    code = "invalid-checkpoint"
    remedy_default = "Keep both checkpoints: together they are evidence against the node."


class InvalidProof(Invalid):
    code = "invalid-proof"
    remedy_default = "Ask for the proof again, from another source if you can."


class InvalidAdvert(Invalid):
    code = "invalid-advert"


class InvalidManifest(Invalid):
    code = "invalid-manifest"
    remedy_default = "Fetch the model files again, or name the model by the id of the files you have."


class InvalidBundle(Invalid):
    code = "invalid-bundle"
    remedy_default = "Get the bundle again from whoever gave it to you; do not rely on this copy."


class InvalidFlow(Invalid):
    """`step` is the name of the step that it is about, where it is about one."""

    code = "invalid-flow"
    remedy_default = "Do not rely on this copy of the flow; correct the definition if it is yours."

    def __init__(
        self,
        message: str,
        *,
        step: str | None = None,
        check: int | None = None,
        evidence: Evidence | None = None,
        remedy: str | None = None,
    ) -> None:
        named = message if step is None else f"step {step!r}: {message}"
        super().__init__(named, check=check, evidence=evidence, remedy=remedy)
        self.step = step


class InvalidOpening(Invalid):
    code = "invalid-opening"
    remedy_default = "Ask only for entries that were drawn; an answer that does not open counts against its node."


class InvalidReport(Invalid):
    code = "invalid-report"
    remedy_default = "Do not rely on the report: audit the node yourself with `tallynet audit sample`."


class InvalidEvidence(Invalid):
    """`reason` is what the contract would say, without its `ledger: `."""

    code = "invalid-evidence"
    remedy_default = "Do not send it: the contract would refuse it, and the gas would be lost."

    def __init__(
        self, message: str, *, reason: str, check: int | None = None, evidence: Evidence | None = None
    ) -> None:
        super().__init__(message, check=check, evidence=evidence)
        self.reason = reason


class Deferred(TallyError):
    """Not now. `retry_after_ms` is the peer's own estimate, in milliseconds."""

    code = "deferred"
    remedy_default = "Try again after the time given."

    def __init__(self, message: str, *, retry_after_ms: int, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_ms = retry_after_ms


class Busy(Deferred):
    code = "busy"


class Pending(Deferred):
    code = "pending"


class Unreachable(TallyError):
    code = "unreachable"
    remedy_default = "Check the network connection and the addresses, then try again."


class NodeUnreachable(Unreachable):
    code = "node-unreachable"


class NoNodes(Unreachable):
    code = "no-nodes"
    remedy_default = "Run `tallynet models` to see what is on offer, or start a node that serves it."


class ChainUnreachable(Unreachable):
    code = "chain-unreachable"
    remedy_default = "Check that the RPC URL in the network file answers."


class Refused(TallyError):
    """The other side checked and said no. `reason` is its own words, e.g. a contract's revert text."""

    code = "refused"
    remedy_default = "Read the reason and change the request."

    def __init__(self, message: str, *, reason: str = "", remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason


class UnfitAnswer(TallyError):
    """`text` is what the model said; `answer` is the client's whole answer with its receipt, where there is one."""

    code = "unfit-answer"
    remedy_default = "Ask a more able model, allow more tokens, or say more precisely what is wanted."

    def __init__(self, message: str, *, text: str, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.text = text
        self.answer: object = None


class StepFailed(TallyError):
    """`step` is its name; the cause is what went wrong with its job."""

    code = "step-failed"
    remedy_default = "Go on with --resume once the cause is gone: no finished step is run again."

    def __init__(self, message: str, *, step: str, remedy: str | None = None) -> None:
        super().__init__(f"step {step!r}: {message}", remedy=remedy)
        self.step = step


class Misconfigured(TallyError):
    code = "misconfigured"
    remedy_default = "Correct the setting named above and start again."
