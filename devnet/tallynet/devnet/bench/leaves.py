"""What the measured logs are made of: entries like any other, and entries that their clients signed."""

from dataclasses import replace

from tallynet.protocol.eip712 import Domain
from tallynet.protocol.job import Job, Sampling
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf, Status
from tallynet.protocol.units import Address, Digest, JobId, Milliseconds, ModelId, Seconds, Signature, Wei

DOMAIN = Domain(1337, Address(bytes(20)))
ANCHOR_BY = Seconds(2**31)
ANSWER = bytes(4096)
"""About what 200 tokens take as frames."""
SAMPLING = Sampling(200)


def make_leaf(number: int) -> Leaf:
    """A leaf like any other, of job `number`."""
    word = Digest(number.to_bytes(32, "big"))
    return Leaf(
        job=JobId(word),
        client=Address(word[:20]),
        model=ModelId(word),
        runtime=word,
        params=word,
        request=word,
        output=word,
        prompt_tokens=20,
        completion_tokens=200,
        price=Wei(200_000),
        started=Milliseconds(1_700_000_000_000),
        ended=Milliseconds(1_700_000_001_000),
        status=Status.LENGTH,
        trace=word,
        client_signature=Signature(word + word + b"\x1b"),
    )


def make_signed_leaf(number: int, client: Key) -> Leaf:
    """The leaf of a job that `client` did sign, for DOMAIN."""
    leaf = make_leaf(number)
    deadline, most = Milliseconds(2**52), Wei(10**6)
    job = Job(client.address, leaf.model, leaf.request, SAMPLING, deadline, most, leaf.request).id(DOMAIN)
    params, signature = SAMPLING.digest, client.sign(Digest(job))
    return replace(leaf, job=job, client=client.address, params=params, client_signature=signature)
