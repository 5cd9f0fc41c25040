.DEFAULT_GOAL := help
PY ?= python3
BIN := .venv/bin
LOCK := .venv/.installed
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps
# A file is run by one process: what its tests share, like servers, is started once. Files keep the order of tests/conftest.py.
ALL_CORES := -n auto --dist loadfile --no-loadscope-reorder
# Many tests start processes, and each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test check coverage bench soak record-history openapi lock

help:  ## Show what can be done
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

setup: $(LOCK)  ## Make the virtualenv with everything in it

# --no-deps: the lock is complete, and pip would look for a newer release of whatever is asked for with an extra.
# --no-compile: most of what comes along is never loaded; what is gets compiled when it is first.
$(LOCK): requirements.txt pyproject.toml
	$(PY) -m venv .venv
	sed -n '/^pip==/,/# via/p' requirements.txt | $(PIP_INSTALL) --require-hashes -r /dev/stdin
	$(PIP_INSTALL) --require-hashes --no-compile -r requirements.txt
	$(PIP_INSTALL) --no-build-isolation -e .
	touch $@

run: setup  ## Run everything on this machine: Postgres, Temporal, worker, API
	$(BIN)/tertulia up

test: setup  ## Run every test
	$(BIN)/pytest $(ALL_CORES)

check: setup  ## What CI runs: format, lint, layers, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy --num-workers auto
	$(BIN)/pytest $(ALL_CORES)

coverage: setup  ## Tell what the tests leave out, branch by branch
	$(BIN)/pytest $(ALL_CORES) --cov --cov-report=term-missing:skip-covered

bench: setup  ## Measure, and write docs/performance.md
	$(BIN)/python -m benchmarks

soak: setup  ## The longest proofs
	$(BIN)/pytest -m "soak or hypothesis" --hypothesis-profile=soak

record-history: setup  ## Record the histories that tests/replay replays
	$(BIN)/python -m tests.replay.record

openapi: setup  ## Write docs/openapi.json
	$(BIN)/tertulia openapi > docs/openapi.json

lock: setup  ## Resolve the dependencies anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --extra embedded --group dev pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" pyproject.toml -o deploy/requirements.txt
	echo "litellm==1.110.2" | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" - -o benchmarks/litellm-requirements.txt
