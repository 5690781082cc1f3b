"""Another server as an engine: vLLM, SGLang, TGI, Ollama, llama.cpp, or whatever speaks the OpenAI API.

    engine.py       UpstreamEngine, behind the interface of all engines
    abilities.py    what the server can do, found out at the start by trying
    questions.py    what is sent to it
    events.py       what it says while it streams; reply.py   the same as pieces
    stand_ins.py    token ids where it tells none
    server.py       the only file that imports httpx

A node can only sign what such a server said: its adverts say `signature-only`, and its model id names a name, not
files. Not protected: a server that does not run the model it names, or passes over what it is asked for.
"""

from tallynet.engine.upstream.engine import UpstreamEngine

__all__ = ["UpstreamEngine"]
