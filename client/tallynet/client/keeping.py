"""Receipts of one's own runs, kept: an omitted or altered run is evidence only for who still has its receipt.

One file a job, without question and answer: it shows that the run took place, not what was said.
"""

import logging
from pathlib import Path

import trio

from tallynet.client.answer import save_bundle
from tallynet.console.folders import receipts_folder
from tallynet.protocol.bundle import SUFFIX, Bundle
from tallynet.protocol.errors import Misconfigured

log = logging.getLogger(__name__)


class Keeper:
    """Writes receipts into one folder, each whole or not at all."""

    def __init__(self, place: Path | bool) -> None:
        """`place` is a folder that exists, True for the user's own, False to keep nothing."""
        self._place = place

    async def keep(self, bundle: Bundle) -> None:
        """Write the receipt of a run, in place of an older one of the same run.

        An answer is not lost because its receipt cannot be kept: that is logged. Not cancellable.
        """
        if self._place is False:
            return
        with trio.CancelScope(shield=True):
            try:
                await trio.to_thread.run_sync(self._write, bundle)
            except (Misconfigured, OSError) as error:
                log.warning("The receipt of job %s is not kept: %s", bundle.receipt.receipt.job.hex(), error)

    def _write(self, bundle: Bundle) -> None:
        folder = self._place if isinstance(self._place, Path) else receipts_folder()
        save_bundle(bundle, folder / kept_name(bundle))


def kept_name(bundle: Bundle) -> str:
    """The file name of a run's receipt."""
    return bundle.receipt.receipt.job.hex() + SUFFIX
