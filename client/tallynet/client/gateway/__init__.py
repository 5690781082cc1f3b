"""The gateway: the network behind an OpenAI-compatible HTTP port, with a receipt for every answer.

In reading order: `config`; `serving` and `app`, the port and its routes; `door`, `keys`, `rates`, who may ask;
`parameters`, `bodies` and `policy`, what is asked and what is refused by name; `jobs`, what stands behind a request;
`chat` (with `tools`), `completions`, `embeddings`, what is answered, whole or as `events`; `receipts`, the proof of it;
`faults`, what goes wrong in OpenAI's words; `visit`, `access` and `metrics`, what is remembered of a request.
`commands` is the command line. FastAPI is met in `app`, `openapi` and `access`, SQLite in `keys`.
"""
