# Everything a person or CI runs. Needs only Python >= 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VERSIONS := 3.11 3.12 3.13 3.14 3.13t 3.14t
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help

help:  ## show this text
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("resilix needs Python 3.11 or newer and this is %d.%d: try make PYTHON=python3.13" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[all]' --group dev
	@touch $@

demo: $(VENV)/.demo  ## an outage, lived through without and with resilix (about 25 s; ARGS="--help")
	$(BIN)/resilix demo $(ARGS)

test: lint types  ## lint, types, unit and end-to-end tests, with woven functions and with plain ones
	$(BIN)/python tests/both_ways.py $(ARGS)

# Without the tests of threads: a tracer runs code between two steps that are one under the GIL alone.
coverage: $(VENV)/.dev  ## that the tests reach every branch of core/
	$(BIN)/coverage run -m pytest -q --ignore=tests/e2e --ignore=tests/unit/test_breaker_threads.py $(ARGS)
	$(BIN)/coverage report --include='src/resilix/core/*' --fail-under=100

test-all:  ## the tests, both ways, on every interpreter found among 3.11 to 3.14, free-threaded ones too
	@set -e; for version in $(VERSIONS); do \
	    found=; \
	    for python in "$$(command -v python$$version)" $$HOME/.pyenv/versions/$${version%t}.*/bin/python; do \
	        if [ -x "$$python" ] && "$$python" -c "import sys, sysconfig; \
	            free = sysconfig.get_config_var('Py_GIL_DISABLED') and 't' or ''; \
	            sys.exit('%d.%d' % sys.version_info[:2] + free != '$$version')" 2>/dev/null; \
	        then found=$$python; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then echo "== $$version: not on this machine"; continue; fi; \
	    echo "== $$version: $$found"; \
	    venv=.venvs/$$version; \
	    [ -x $$venv/bin/python ] || "$$found" -m venv $$venv; \
	    $$venv/bin/python -m pip install --quiet --upgrade pip; \
	    $$venv/bin/python -m pip install --quiet -e '.[all]' --group dev; \
	    $$venv/bin/python tests/both_ways.py -q $(ARGS); \
	done

bench: $(VENV)/.dev  ## what a call costs, as ratios to a decorator that does nothing
	$(BIN)/python -m benchmarks $(ARGS)

bench-http: $(VENV)/.dev  ## what the HTTP layer costs, beside its peers
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks.http $(ARGS)

# An environment of its own, for what the peers need must not get between resilix and its tests.
bench-peers:  ## resilix beside 13 peers, pinned, doing the same jobs (ARGS="--quick"; PYTHON=python3.13)
	@set -e; venv=.venv-peers/$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	if [ ! -e $$venv/.ready ] || [ pyproject.toml -nt $$venv/.ready ]; then \
	    [ -x $$venv/bin/python ] || $(PYTHON) -m venv $$venv; \
	    $$venv/bin/python -m pip install --quiet --upgrade pip; \
	    $$venv/bin/python -m pip install --quiet -e '.[httpx]'; \
	    $$venv/bin/python -m benchmarks.peers.install; \
	    touch $$venv/.ready; \
	fi; \
	$$venv/bin/python -m benchmarks.peers $(ARGS)

bench-reality: $(VENV)/.dev  ## what the simulator says beside what happens over real sockets (10 s a run; ARGS="--runs 3")
	$(BIN)/python -m benchmarks.reality $(ARGS)

bench-machine: $(VENV)/.dev  ## the state machine by itself, over window sizes and numbers of breakers
	$(BIN)/python -m benchmarks.machine $(ARGS)

pictures: $(VENV)/.dev  ## the pictures and tables of docs/whatif.md, from the shipped cases
	$(BIN)/python docs/pictures/draw.py

lint: $(VENV)/.dev  ## style and format, without changing anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## mypy --strict and basedpyright strict, the typing tests included
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/basedpyright -p tests/typing/pyrightconfig.json

.PHONY: help demo test test-all coverage bench bench-http bench-machine bench-peers bench-reality pictures lint types
