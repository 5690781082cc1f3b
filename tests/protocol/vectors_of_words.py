"""Vectors of what everything else is made of: keys, signatures, commitments, requests, manifests."""

from collections.abc import Sequence
from typing import Any

import base58
import msgspec

from tallynet.protocol import commitment
from tallynet.protocol.keys import Key, peer_id_of
from tallynet.protocol.manifest import Manifest, ManifestFile
from tallynet.protocol.request import Bias, Message, Request, ToolCall, encode_request
from tests.protocol.examples import CLIENT, NODE, PROMPT, SECRET, STRANGER, digest, valid_manifest, valid_request
from tests.protocol.json_form import write

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SAID = digest("what was said")


def keys() -> dict[str, Any]:
    edges = [Key(number.to_bytes(32, "big")) for number in (1, 2, ORDER - 1)]
    return {
        "valid": [
            {
                "secret": write(key.secret),
                "public": write(key.public),
                "address": write(key.address),
                "peer_id": key.peer_id,
            }
            for key in [CLIENT, NODE, STRANGER, *edges]
        ],
        "invalid_secrets": [
            {"secret": write(bytes(32)), "reason": "zero is no key"},
            {"secret": write(ORDER.to_bytes(32, "big")), "reason": "the group order is no key"},
            {"secret": write(b"\x01" * 31), "reason": "31 bytes"},
        ],
        "invalid_peer_ids": [
            {"peer_id": NODE.peer_id[:-1], "reason": "cut short"},
            {"peer_id": NODE.peer_id + " ", "reason": "white space at the end"},
            {"peer_id": "1" + NODE.peer_id, "reason": "a zero byte before the multihash"},
            {"peer_id": peer_id_of(b"\x05" + NODE.public[1:]), "reason": "no point of the curve"},
            {"peer_id": ed25519_peer(), "reason": "an Ed25519 key"},
        ],
    }


def ed25519_peer() -> str:
    return base58.b58encode(bytes.fromhex("002408011220") + digest("ed25519")).decode()


def signatures() -> dict[str, Any]:
    good = NODE.sign(SAID)
    high = (ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    invalid: Sequence[tuple[int, bytes, str]] = (
        (1, good[:64], "64 bytes"),
        (1, good + b"\0", "66 bytes"),
        (2, good[:64] + bytes([good[64] - 27]), "v is 0 or 1"),
        (2, good[:64] + b"\x25", "v is 37"),
        (3, good[:32] + high + bytes([55 - good[64]]), "s is high"),
        (4, bytes(64) + b"\x1b", "r and s are zero"),
        (4, ORDER.to_bytes(32, "big") + good[32:], "r is the group order"),
        (5, STRANGER.sign(SAID), "signed by somebody else"),
        (5, good[:64] + bytes([55 - good[64]]), "the other v"),
    )
    return {
        "valid": [
            {"secret": write(key.secret), "digest": write(said), "signature": write(key.sign(said)),
             "signer": write(key.address)}
            for key in (CLIENT, NODE) for said in (SAID, digest("another thing"))
        ],
        "invalid": [
            {"digest": write(SAID), "signature": write(signature), "expected": write(NODE.address),
             "error": "invalid-signature", "check": check, "reason": reason}
            for check, signature, reason in invalid
        ],
    }  # fmt: skip


def commitments() -> dict[str, Any]:
    request = encode_request(valid_request())
    return {
        "salts": [
            {"secret": write(SECRET), "label": write(label), "salt": write(commitment.salt(SECRET, label))}
            for label in (b"request", b"prompt", b"output\0\0\0\0", b"output\0\0\1\0")
        ],
        "requests": [
            {"salt": write(salt), "request": write(data), "commitment": write(commitment.commit_request(salt, data))}
            for salt, data in ((commitment.request_salt(SECRET), request), (bytes(32), b""))
        ],
        "prompts": [
            {"salt": write(salt), "tokens": list(tokens), "commitment": write(commitment.commit_prompt(salt, tokens))}
            for salt, tokens in ((commitment.prompt_salt(SECRET), PROMPT), (bytes(32), ()))
        ],
        "chunks": [
            {"salt": write(salt), "tokens": list(tokens), "text": text,
             "commitment": write(commitment.commit_chunk(salt, tokens, text))}
            for salt, tokens, text in (
                (commitment.chunk_salt(SECRET, 0), (1, 2**32 - 1), "東京"),
                (commitment.chunk_salt(SECRET, 1), (), "text alone"),
                (bytes(32), (0,), ""),
            )
        ],
        "evidence": [
            {"index": index, "logprobs": list(logprobs), "evidence": write(evidence),
             "hash": write(commitment.hash_evidence(index, logprobs, evidence))}
            for index, logprobs, evidence in ((0, (-0.5, -0.0, -12.25), b"\1\2"), (2**32 - 1, (), b""))
        ],
        "seeds": [{"job": write(digest("job")), "seed": write(commitment.seed(digest("job")))}],
    }  # fmt: skip


def requests() -> dict[str, Any]:
    pack = msgspec.msgpack.encode
    call = ToolCall("call-1", "weather", '{"city":"東京"}')
    tooled = Request(
        messages=(
            Message("user", "Is it warm?"),
            Message("assistant", "", tool_calls=(call,)),
            Message("tool", "21 degrees", tool_call_id="call-1"),
        ),
        tools='[{"type":"function","function":{"name":"weather"}}]',
    )
    wished = Request(text="x", schema='{"type":"object"}', logit_bias=(Bias(3, -1), Bias(4, 100_000_000)))
    made = Request(text="[1] A passage.", template=digest("template"), documents=(digest("one"), digest("two")))
    valid = (
        valid_request(),
        Request(text="Once upon a time"),
        Request(text="\0 é 東 \U0001f40c"),
        Request(text="Once upon a time", top=5),
        Request(tokens=(1, 300, 2**32 - 1)),
        made,
        tooled,
        wished,
    )
    both = Request(messages=valid_request().messages, text="x")
    invalid: Sequence[tuple[int, bytes, str]] = (
        (2, b"", "nothing"),
        (2, encode_request(valid[1])[:-1], "truncated"),
        (2, encode_request(valid[1]) + b"\0", "a byte after the end"),
        (2, b"\x81\xa4text\xa2\xff\xfe", "not UTF-8"),
        (2, pack({"text": "x", "top": 6}), "more likely tokens than are told"),
        (2, pack({"tokens": [2**32]}), "a token id beyond its bounds"),
        (2, b"\x81\xa4text\xa3\xed\xa0\x80", "a surrogate in UTF-8"),
        (2, pack({"text": 7}), "a number for a text"),
        (2, pack({"text": "x", "system": "y"}), "an unknown field"),
        (2, pack({"messages": [{"role": "narrator", "content": "x"}]}), "an unknown role"),
        (2, pack({"messages": [{"role": "user\n", "content": "x"}]}), "a role with a line end"),
        (2, pack({"text": "x", "template": bytes(31)}), "a digest of 31 bytes"),
        (2, pack({"text": "x", "documents": [bytes(32)] * 65}), "65 documents"),
        (3, encode_request(Request()), "neither messages nor text"),
        (3, encode_request(both), "both messages and text"),
        (3, encode_request(Request(text="x", tokens=(1,))), "both a text and tokens"),
        (4, pack({"text": "x", "messages": []}), "an empty field that should be left out"),
        (4, pack({"text": "x", "template": None}), "a template that is none"),
        (4, b"\x81\xa4text\xd9\x01x", "a longer form than is needed"),
        (4, pack({"messages": [{"content": "x", "role": "user"}]}), "fields in another order"),
        (5, pack({"text": "x", "schema": "[]"}), "a schema that is no object"),
        (5, pack({"text": "x", "tools": "[]"}), "a list of no tools"),
        (6, pack({"text": "x", "logit_bias": [{"token": 4, "millionths": 1}] * 2}), "a token biased twice"),
        (6, pack({"text": "x", "logit_bias": [{"token": 4, "millionths": 0}]}), "a bias of nothing"),
        (7, pack({"messages": [{"role": "tool", "content": "x"}]}), "a tool that answers no call"),
    )
    return {
        "valid": [{"request": trimmed(request), "encoded": write(encode_request(request))} for request in valid],
        "invalid": [
            {"encoded": write(data), "error": "invalid-job", "check": check, "reason": reason}
            for check, data, reason in invalid
        ],
    }


def trimmed(request: Request) -> dict[str, Any]:
    """The fields that are present."""
    turns = [
        {name: value for name, value in turn.items() if value or name == "content"}
        for turn in write(request)["messages"]
    ]
    return {name: value for name, value in {**write(request), "messages": turns}.items() if value}


def manifests() -> dict[str, Any]:
    foreign = (ManifestFile("\ufb00", 1, digest("a")), ManifestFile("\U00010000", 2**53 - 1, digest("b")))
    invalid: Sequence[tuple[int, Sequence[str], str]] = (
        (1, ("b", "a"), "not sorted"),
        (1, ("a", "a"), "a path twice"),
        (2, ("../a",), "leaves the directory"),
        (2, ("/a",), "is not relative"),
        (2, ("a/./b",), "a second way to name a/b"),
        (2, ("a\\b",), "a backslash"),
    )
    return {
        "valid": [
            {"files": write(manifest.files), "model_id": write(manifest.model_id)}
            for manifest in (valid_manifest(), Manifest(foreign))
        ],
        "invalid": [
            {"files": [{"path": path, "size": 1, "sha256": write(digest(path))} for path in paths],
             "error": "invalid-manifest", "check": check, "reason": reason}
            for check, paths, reason in invalid
        ],
    }  # fmt: skip
