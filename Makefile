# Everything a person or CI runs. Needs only Python >= 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help

help:  ## show this text
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("resilix needs Python 3.11 or newer; this is %d.%d: try make PYTHON=python3.13" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[all]' --group dev
	@touch $@

demo: $(VENV)/.demo  ## an outage, with and without resilix, side by side (about 25 s)
	$(BIN)/resilix demo $(ARGS)

test: $(VENV)/.dev lint types  ## lint, types, unit and end-to-end tests
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.dev  ## style and format, without changing anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## mypy --strict and basedpyright strict, the typing tests included
	$(BIN)/mypy
	$(BIN)/basedpyright

.PHONY: help demo test lint types
