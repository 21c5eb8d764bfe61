# Two commands: `make demo` (the main job) and `make test`. Both set everything up first.
# `make soak` repeats for long what `make test` does a few times: kills, long replays, properties on new examples.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test soak lint setup clean

demo: setup
	$(BIN)/fedstake demo

test: setup
	FEDSTAKE_REQUIRE_CHAIN=1 $(BIN)/python -m pytest

soak: setup
	FEDSTAKE_REQUIRE_CHAIN=1 $(BIN)/python -m pytest --soak -m "soak or hypothesis"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(VENV)/.ready

# Node.js comes from the system if it is new enough, else from PyPI; the programs of both chains exactly as locked.
$(VENV)/.ready: pyproject.toml constraints.txt chain_bridge/devchain/package-lock.json chain_bridge/evm/package-lock.json
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Fedstake needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -c 'from chain_bridge.devchain.node import find_node; find_node()' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[node]'
	$(BIN)/python -c 'from chain_bridge.devchain.install import install; install()'
	$(BIN)/python -c 'from chain_bridge.evm.programs import PROGRAMS; PROGRAMS.install()'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
