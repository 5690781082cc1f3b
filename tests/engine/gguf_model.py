"""Writes a tiny Llama with random weights as a GGUF file, for llama.cpp: `python gguf_model.py FILE`.

Runs under the interpreter that has llama-cpp-python and gguf, which the tests' own need not have.
"""

import sys

import gguf  # the interpreter that runs this has it
import numpy

WIDTH, LAYERS, HEADS, FEED_FORWARD, CONTEXT = 64, 2, 4, 128, 512
WORDS = ["▁the", "▁a", "▁of", "▁to", "▁and", "▁in", "▁is", "▁it", "▁that", "▁was"]
TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"


def main(path: str) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    tokens = write_tokenizer(writer)
    write_settings(writer)
    write_tensors(writer, tokens)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tokenizer(writer: gguf.GGUFWriter) -> int:
    """SentencePiece: three control tokens, every byte, the letters and some words; returns how many."""
    kinds = gguf.TokenType
    letters = ["\u2581", *map(chr, range(33, 127))]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters, *WORDS]
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256]
    types += [kinds.NORMAL] * (len(tokens) - len(types))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 259 + [-float(rank) for rank in range(len(tokens) - 259)])
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    return len(tokens)


def write_settings(writer: gguf.GGUFWriter) -> None:
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)


def write_tensors(writer: gguf.GGUFWriter, tokens: int) -> None:
    draw = numpy.random.default_rng(5)

    def add(name: str, *shape: int) -> None:
        ones = len(shape) == 1
        data = numpy.ones(shape) if ones else draw.normal(0, 0.3, shape)
        writer.add_tensor(f"{name}.weight", data.astype(numpy.float32))

    add("token_embd", tokens, WIDTH)
    add("output_norm", WIDTH)
    add("output", tokens, WIDTH)
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}", WIDTH, WIDTH)
        add(f"blk.{layer}.ffn_gate", FEED_FORWARD, WIDTH)
        add(f"blk.{layer}.ffn_up", FEED_FORWARD, WIDTH)
        add(f"blk.{layer}.ffn_down", WIDTH, FEED_FORWARD)
        add(f"blk.{layer}.attn_norm", WIDTH)
        add(f"blk.{layer}.ffn_norm", WIDTH)


if __name__ == "__main__":
    main(sys.argv[1])
