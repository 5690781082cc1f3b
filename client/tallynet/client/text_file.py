"""A file of the user's that goes into a request as it is."""

from pathlib import Path

from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.request import MAX_REQUEST_BYTES


def read_text_file(path: Path, *, remedy: str) -> str:
    """Its text, in UTF-8. Raises `Misconfigured`; `remedy` says what to do with one that no request can hold."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_REQUEST_BYTES + 1)
        if len(data) > MAX_REQUEST_BYTES:
            raise Misconfigured(f"{path} has more than {MAX_REQUEST_BYTES} bytes.", remedy=remedy)
        return data.decode()
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}.", remedy="Name a text file.") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path} is no UTF-8: {error}.", remedy="Convert it to UTF-8.") from error
