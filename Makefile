# Two commands do everything on a fresh machine: `make demo` and `make test`. Each makes .venv on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
LANGCHAIN := $(VENV)-langchain
LM_EVAL := $(VENV)-lm-eval

# An environment for what brings a lot along: it sees all of $(VENV), which stays as it is.
define beside
$(PYTHON) -m venv $(1)
$(1)/bin/python -c "import site, sysconfig, pathlib; pathlib.Path(sysconfig.get_path('purelib'), 'shared.pth').write_text('import site; site.addsitedir(\"$(abspath $(VENV))/lib/python%s/site-packages\")' % sysconfig.get_python_version())"
endef

.PHONY: demo test check lint types layers tests torture test-anvil test-upstream test-node test-api test-lm-eval \
	test-langchain gas bench tiny-model evaluate-model smoke-suite vectors corpus contract clean

demo: $(READY)  ## the life of a job in one process, with a cheat caught
	$(BIN)/tallynet demo

test: check tests  ## everything that must hold: lint, types, layers, tests

check: lint types layers

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

tests: $(READY)
	$(BIN)/pytest -q --numprocesses auto --maxprocesses 8 --dist worksteal --durations=15

torture: $(READY)  ## kill a node under load a thousand times, half an hour; KILLS=100 for less
	$(BIN)/python -m tests.e2e.torture --kills $(or $(KILLS),1000)

test-anvil: $(READY)  ## the ledger's tests against Foundry's anvil, where it is on the PATH
	$(BIN)/pytest -q -m anvil -rs tests/ledger

test-upstream: $(READY)  ## the upstream engine in front of real servers; UPSTREAM_PYTHON names an interpreter that has one of
	@# `pip install 'transformers[serving]' accelerate`, or `pip install 'llama-cpp-python[server]' gguf` (needs gcc and cmake)
	TALLYNET_UPSTREAM_PYTHON=$(or $(UPSTREAM_PYTHON),$(BIN)/python) $(BIN)/pytest -q -m upstream -rs tests/engine

test-node: $(READY)  ## OpenAI's npm client against the gateway, where Node.js is on the PATH
	@command -v npm >/dev/null || { echo "Node.js is missing: install it with 'apt-get install nodejs npm'."; exit 1; }
	npm ci --no-audit --no-fund --prefix tests/client/gateway/npm
	$(BIN)/pytest -q -m node -rs tests/client/gateway

test-api: $(READY)  ## whatever comes to schemathesis, against the gateway's own OpenAPI
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[api]'
	$(BIN)/pytest -q -m api -rs tests/client/gateway

test-lm-eval: $(READY)  ## lm-evaluation-harness against the gateway: the figures of transformers' own
	$(call beside,$(LM_EVAL))
	$(LM_EVAL)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt 'lm-eval[api]>=0.4.13,<0.5'
	$(LM_EVAL)/bin/python -m pytest -q -m lmeval -rs tests/client/gateway

test-langchain: $(READY)  ## LangChain's standard tests, in an environment of their own: they bring plugins of pytest
	$(call beside,$(LANGCHAIN))
	$(LANGCHAIN)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt 'langchain-core>=1,<2' 'langchain-tests>=1,<2'
	$(LANGCHAIN)/bin/python -m pytest -q -m langchain -rs --benchmark-disable -o trio_mode=false -o asyncio_mode=auto \
		-o asyncio_default_fixture_loop_scope=function tests/client/langchain

gas: $(READY)  ## what each call of the contract costs, against its limits
	$(BIN)/python -m tests.contracts.gas

bench: $(READY)  ## figures side by side with their baselines, in one run
	$(BIN)/python -m tests.benchmarks

tiny-model: $(READY)  ## train the model that comes with the package, about an hour on two cores
	$(BIN)/python -m tallynet.devnet.tiny train --out devnet/tallynet/devnet/models/tally-tiny

evaluate-model: $(READY)  ## held-out accuracy of the model that comes with the package
	$(BIN)/python -m tallynet.devnet.tiny evaluate --model devnet/tallynet/devnet/models/tally-tiny

smoke-suite: $(READY)  ## the evaluation suite that comes with the package, always the same
	$(BIN)/python -m tallynet.devnet.tiny suite --out client/tallynet/client/evaluate/suites/smoke

vectors: $(READY)
	$(BIN)/python -m tests.protocol.generate_vectors

corpus: $(READY)  ## every way in which a bundle can be wrong, a folder each
	$(BIN)/python -m tests.audit.make_corpus

contract: $(READY)
	$(BIN)/python -m tallynet.ledger.compile

# torch comes first and alone: whatever wants torch is then content with the build for this machine.
# trio-stubs, which libp2p's dependency trio-typing brings, describes a trio of 2023 and hides trio's own types.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11."; exit 1; }
	@command -v gcc >/dev/null || { echo "A C compiler is missing: install it with 'apt-get install gcc'."; exit 1; }
	@echo '#include <gmp.h>' | gcc -E -x c - >/dev/null 2>&1 || { echo "The GMP headers are missing: install them with 'apt-get install libgmp-dev'."; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { echo "Python's venv is missing: install it with 'apt-get install python3-venv'."; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@rm -rf $(VENV)/lib/python3*/site-packages/trio-stubs
	@touch $@

clean:
	rm -rf $(VENV) $(LANGCHAIN) .mypy_cache .ruff_cache .import_linter_cache .hypothesis
