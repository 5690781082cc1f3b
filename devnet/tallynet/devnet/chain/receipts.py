"""What became of a transaction on the embedded chain: its receipt and its events."""

from dataclasses import dataclass

from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI


@dataclass(frozen=True, slots=True)
class Place:
    """Where a transaction stands, and what its block had used up before it."""

    block: int
    block_hash: bytes
    index: int
    """Position of the transaction in its block."""
    gas_before: int
    logs_before: int


@dataclass(frozen=True, slots=True)
class Log:
    """An event."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    place: Place
    transaction: bytes
    index: int
    """Position of the event in its block."""


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction with its outcome."""

    signed: SignedTransactionAPI
    place: Place
    succeeded: bool
    gas_used: int
    gas_price: int
    """Wei per gas that was paid in fact."""
    bloom: int
    contract: bytes | None
    """Address of the contract that was made."""
    logs: tuple[Log, ...]


def outcome(
    header: BlockHeaderAPI, signed: SignedTransactionAPI, receipt: ReceiptAPI, done: ComputationAPI, place: Place
) -> Mined:
    """Put together what py-evm tells of one transaction."""
    created = done.msg.is_create and not done.is_error
    return Mined(
        signed=signed,
        place=place,
        succeeded=not done.is_error,
        gas_used=receipt.gas_used - place.gas_before,
        gas_price=min(signed.max_fee_per_gas, (header.base_fee_per_gas or 0) + signed.max_priority_fee_per_gas),
        bloom=receipt.bloom,
        contract=done.msg.storage_address if created else None,
        logs=_events(signed.hash, receipt, place),
    )


def _events(transaction: bytes, receipt: ReceiptAPI, place: Place) -> tuple[Log, ...]:
    return tuple(
        Log(
            address=log.address,
            topics=tuple(topic.to_bytes(32, "big") for topic in log.topics),
            data=log.data,
            place=place,
            transaction=transaction,
            index=place.logs_before + position,
        )
        for position, log in enumerate(receipt.logs)
    )
