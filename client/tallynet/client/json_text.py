"""JSON as it stands in a request."""

import msgspec

from tallynet.protocol.errors import InvalidJob


def write_json(value: object) -> str:
    """Raises `InvalidJob` for what is no JSON."""
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidJob(f"this cannot be written as JSON: {error}") from error
