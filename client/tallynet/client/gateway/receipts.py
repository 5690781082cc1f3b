"""The receipts of the gateway's runs: each for the key that asked, as the `.tally` file that anybody can check.

The last ones are held in memory with question and answer. Older ones, and those from before a restart, are given as
the client keeps them: without any text. Nothing that was said is written to disk.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import trio

from tallynet.client.client import AsyncClient
from tallynet.client.gateway.faults import ApiError
from tallynet.client.gateway.keys import Caller, KeyStore
from tallynet.protocol.bundle import MAX_BUNDLE_BYTES, SUFFIX, Bundle, read_bundle
from tallynet.protocol.errors import Busy, InvalidBundle, Pending, Refused, Unreachable
from tallynet.protocol.units import JobId, prefixed

log = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 60.0


@dataclass
class Receipts:
    """`held` is how many bundles stay in memory, `folder` where the client keeps them without texts, if it does."""

    client: AsyncClient
    keys: KeyStore
    held: int
    folder: Path | None
    _bundles: OrderedDict[JobId, Bundle] = field(default_factory=OrderedDict)

    def put(self, bundle: Bundle) -> None:
        """Hold a bundle, in place of an older one of the same run."""
        job = bundle.receipt.receipt.job
        self._bundles[job] = bundle
        self._bundles.move_to_end(job)
        while len(self._bundles) > self.held:
            self._bundles.popitem(last=False)

    async def get(self, job: JobId, caller: Caller, seconds: float) -> Bundle:
        """The receipt of a run, with its anchor when there is one within `seconds`.

        Raises `ApiError` 404 when this caller has no such run or its receipt is not kept, and 502 for a run whose
        promise is broken.
        """
        if self.keys.owner(job) != caller.name:
            raise _unknown(job)
        bundle = self._bundles.get(job) or await self._kept(job)
        if bundle is None:
            raise _unknown(job)
        return bundle if bundle.inclusion else await self.anchored(bundle, seconds)

    async def anchored(self, bundle: Bundle, seconds: float) -> Bundle:
        """The bundle with its anchor, or as it is when there is none within `seconds`. Raises `InvalidBundle`."""
        try:
            anchored = await self.client.wait_for_anchor(bundle, seconds)
        except (Pending, Busy, Unreachable, Refused) as error:
            log.info("job %s is not anchored: %s", prefixed(bundle.receipt.receipt.job), error)
            return bundle
        self.put(anchored)
        return anchored

    async def _kept(self, job: JobId) -> Bundle | None:
        """The client's own copy, without texts."""
        if self.folder is None:
            return None
        path = trio.Path(self.folder / f"{job.hex()}{SUFFIX}")
        try:
            async with await path.open("rb") as file:
                return read_bundle(await file.read(MAX_BUNDLE_BYTES + 1))
        except (OSError, InvalidBundle) as error:
            log.info("the receipt of job %s is not there: %s", prefixed(job), error)
            return None


def _unknown(job: JobId) -> ApiError:
    return ApiError(404, "receipt_not_found", f"There is no receipt of job {prefixed(job)} for this key.", param="job")
