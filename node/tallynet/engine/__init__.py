"""Model runtimes: token ids in, pieces of tokens, text and logprobs out, the same tokens for the same seed.

    engine.py       the interface, and what is said across it: Engine, Generation, Piece, …
    opening.py      `open_engine`: from an operator's words to an engine
    apart.py        ApartEngine: any of the engines below in a process of its own
    process.py      that process, seen from the node; child.py   what runs in it; line.py   between them
    fake.py         FakeEngine: deterministic stand-in without torch
    upstream/       UpstreamEngine: another server that speaks the OpenAI API

What every engine uses, plain Python:

    answer.py       tokens become pieces; recital.py   those of a given text; stops.py, detokenizer.py   their text
    evidence.py     what is measured of a generation: its form
    philox.py       the sampler's noise, defined in integers
    manifest.py     the files that decide a model's output; checkpoint.py   where they lie

The engine for Hugging Face models, the only files that import torch and transformers:

    model.py        TransformersEngine: threads, slots and streams
    worker.py       the decoding thread; entrance.py, ticket.py   generations on their way through it
    batch.py        running generations that share steps; cache.py, forward.py, packing.py   how
    reading.py      given texts read once, for their logprobs
    prefill.py      prompts on their way into a batch; prefixes.py   what is kept of them
    seq2seq.py      running generations of encoder-decoder models, and their replay
    sketch.py       hidden states into evidence
    rules.py        what a request adds to the choice of tokens; grammar.py   schemas into automata
    sampler.py      logits into tokens; noise.py   the noise for many tokens at once
    embedding.py    EmbeddingEngine: vectors instead of tokens; embedder.py, how they are pooled and compared
    replay.py       a run made again with one prefill; scoring.py   its tokens; observation.py   what was found
    rescoring.py    a score made again
    attribution.py  an answer attributed to the tokens of its prompt
    rehearsal.py    many generations without a server, for calibration; environments.py   where a node may have run
    tokenizer.py    requests into token ids; weights.py, hardware.py, warmup.py   loading and trying
    plan.py         what that will need of memory; joint_plan.py, budget.py   what several will need together
    resident.py     what a process holds of it

Importing this package, the interface or the fake imports neither torch nor transformers.
"""

from tallynet.engine.engine import Engine, EngineInfo, EngineLoad, Finish, Generation, Piece
from tallynet.engine.fake import FakeEngine
from tallynet.engine.manifest import read_manifest
from tallynet.engine.opening import open_engine

__all__ = [
    "Engine",
    "EngineInfo",
    "EngineLoad",
    "FakeEngine",
    "Finish",
    "Generation",
    "Piece",
    "open_engine",
    "read_manifest",
]
