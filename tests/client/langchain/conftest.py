"""LangChain's own tests of integrations, against scripted nodes. They run by `make test-langchain`, on asyncio."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("langchain_tests") else ["test_*.py"]
