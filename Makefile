# What people and CI type. Only CPython >= 3.11, make and the package index are needed.
#   make rehearsal [ARGS="smoke --seed 7"]   one graded rehearsal on the embedded stack
#   make test [ARGS="tests/harness -k audit"] the whole suite, or a part of it

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
# The tests are spread over processes as tests/conftest.py says; ARGS="-n 0 …" runs them in one, for a debugger.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONDONTWRITEBYTECODE :=

.PHONY: rehearsal test setup lint format docs pictures bench lock supply-chain sbom audit clean help
.DEFAULT_GOAL := help

help:
	@echo "make rehearsal | test | setup | lint | format | docs | pictures | bench | lock | supply-chain | sbom | audit | clean  (see README.md)"

setup: $(BIN)/gatecrash

rehearsal: $(BIN)/gatecrash
	@$(BIN)/gatecrash rehearse $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

# The pictures of the documents, from rehearsals of this machine; needs chromium.
pictures: $(VENV)/.installed-dev
	$(BIN)/python -m tests.site pictures

# The reference pages from the code, then all documents as a site.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m tests.reference
	$(BIN)/python -m tests.site

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench $(ARGS)

# The locks pin every package by version and hash, and name no index.
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --quiet
lock: $(VENV)/.installed-dev
	$(LOCK) -o requirements.lock
	$(LOCK) --extra dev -c requirements.lock -o requirements-dev.lock

# What it is made of: pins, hashes and licences, and the parts list (CycloneDX); neither needs the network.
supply-chain: $(VENV)/.installed-dev
	$(BIN)/python -m tests.supply check
	$(BIN)/python -m tests.supply licences

sbom: $(VENV)/.installed-dev
	$(BIN)/python -m tests.supply sbom build/sbom.cdx.json

# Known vulnerabilities of what is locked: asks the advisory database of the package index, and so needs the network.
audit: $(VENV)/.installed-dev
	$(BIN)/pip-audit --require-hashes --disable-pip --strict -r requirements.lock

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "gatecrash needs CPython >= 3.11; '$(PYTHON)' is not: say which with  make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "creating $(VENV) …" >&2
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "cannot create $(VENV): on Debian and Ubuntu install python3-venv first" >&2; exit 2; }

$(VENV)/.installed: $(VENV)/bin/python requirements.lock
	@echo "installing the locked packages …" >&2
	@$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	@touch $@

# The command of this checkout, from any directory.
$(BIN)/gatecrash: $(VENV)/.installed Makefile
	@printf '#!/bin/sh\nPYTHONPATH="%s$${PYTHONPATH:+:$$PYTHONPATH}" exec "%s/$(BIN)/python" -m harness "$$@"\n' "$(CURDIR)" "$(CURDIR)" > $@
	@chmod +x $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "installing the locked test and lint tools …" >&2
	@$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
