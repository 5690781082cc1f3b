"""(3) and (4) From an admitted job to its receipt: stream signed chunks, log the leaf, sign the promise."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import trio

from tallynet.engine import Generation
from tallynet.node.admission import Admitted
from tallynet.node.config import NodeConfig
from tallynet.node.journal import Journal, Kept
from tallynet.node.run import Run
from tallynet.node.signing import promise
from tallynet.protocol.advert import Offer
from tallynet.protocol.chunk import ChunkBody, Transcript, sign_chunk
from tallynet.protocol.commitment import commit_prompt, prompt_salt, seed
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Busy, Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf, Status
from tallynet.protocol.request import decode_request
from tallynet.protocol.units import Milliseconds, Seconds, short
from tallynet.protocol.wire import Accepted, Finished, NoConsent, Streamed, encode_frame

log = logging.getLogger(__name__)


LOG_RETRY_MS = 60_000


def log_unusable() -> Busy:
    """What peers are told when our disk refuses: not the paths of this machine, which the operator's log holds."""
    return Busy("the node cannot use its log now", retry_after_ms=LOG_RETRY_MS)


@dataclass(frozen=True)
class Worker:
    """Turns admitted jobs into receipts."""

    config: NodeConfig
    key: Key
    domain: Domain
    journal: Journal
    clock: Callable[[], Milliseconds]

    async def work(self, run: Run, admitted: Admitted, offer: Offer) -> Leaf | None:
        """Run one job to its receipt, whatever happens on the way. Raises nothing of ours.

        Returns the leaf that was logged, or None when not even that was possible. When cancelled from outside,
        nothing is logged and nothing has been promised.
        """
        started = self.clock()
        job = admitted.job
        commitment = commit_prompt(prompt_salt(admitted.secret), admitted.prompt)
        transcript = Transcript(job.id, admitted.secret, commitment)
        run.say(Accepted(job.id, admitted.prompt, admitted.engine.load().waiting))
        status = await self._generate(run, admitted, transcript)
        leaf = self._leaf(admitted, offer, transcript, started, status)
        try:
            await self._promise(run, admitted, leaf)
        except Misconfigured as error:
            log.error("job %s has no receipt: %s", short(job.id), error)
            run.refuse(log_unusable())
            return None
        log.info(
            "job %s: %s after %d tokens in %d ms",
            short(job.id), status.name.lower(), leaf.completion_tokens, leaf.ended - leaf.started,
        )  # fmt: skip
        return leaf

    async def _generate(self, run: Run, admitted: Admitted, transcript: Transcript) -> Status:
        job = admitted.job.job
        request = decode_request(admitted.request)
        generation = Generation(
            admitted.prompt, job.sampling, seed(admitted.job.id), admitted.scored, admitted.top, request.schema,
            request.logit_bias,
        )  # fmt: skip
        run.scope.deadline = trio.current_time() + max(0.0, (job.deadline - self.clock()) / 1000)
        status = Status.FAILED
        try:
            with run.scope:
                async with admitted.engine.stream(generation) as pieces:
                    async for piece in pieces:
                        body = ChunkBody(piece.tokens, piece.text, piece.logprobs, piece.evidence)
                        if body.tokens or body.text:
                            run.say(Streamed(sign_chunk(transcript, body, self.domain, self.key)))
                        if piece.finish is not None:
                            status = Status(piece.finish.value)
        except Exception:  # whatever breaks in one job ends that job, with a signed reason, and never the node
            log.exception("job %s failed", short(admitted.job.id))
        if run.scope.cancelled_caught:
            return run.cut_short if run.cut_short is not None else Status.DEADLINE
        return status

    def _leaf(
        self, admitted: Admitted, offer: Offer, transcript: Transcript, started: Milliseconds, status: Status
    ) -> Leaf:
        job = admitted.job.job
        return Leaf(
            job=admitted.job.id,
            client=job.client,
            model=job.model,
            runtime=admitted.engine.info.runtime,
            params=job.sampling.digest,
            request=job.request,
            output=transcript.output_root,
            prompt_tokens=len(admitted.prompt),
            completion_tokens=transcript.token_count,
            price=offer.price(len(admitted.prompt), transcript.token_count, job.task),
            started=started,
            ended=max(started, self.clock()),  # a clock set back must not break the leaf
            status=status,
            trace=transcript.trace_root,
            client_signature=admitted.job.signature,
        )

    async def _promise(self, run: Run, admitted: Admitted, leaf: Leaf) -> None:
        """Make the leaf durable, then sign: never the other way round."""
        now = self.clock() // 1000
        anchor_by = Seconds(now + self.config.promise_seconds)
        answer = b"".join(encode_frame(frame) for frame in run.frames)
        expires, kept = Seconds(now + self.config.keep_answers_seconds), self._keep(admitted, anchor_by)
        if admitted.job.job.audit_consent:
            expires = max(expires, kept.expires)
        index = await self.journal.append(leaf, anchor_by, answer, expires, kept)
        run.say(Finished(promise(self.journal, leaf, index, anchor_by, self.domain, self.key)))

    def _keep(self, admitted: Admitted, anchor_by: Seconds) -> Kept:
        """What an auditor may ask for: all of a job with consent, of another one only that there is none.

        The time counts from the promised anchor: nobody can draw the run before it is anchored.
        """
        job = admitted.job.job
        frame = admitted.submit() if job.audit_consent else NoConsent(job.words)
        return Kept(encode_frame(frame), Seconds(anchor_by + self.config.keep_openings_seconds))
