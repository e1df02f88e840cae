# Everything a developer runs. `make` alone lists the targets.
#
# PYTHON       the interpreter that makes .venv (3.11 or newer)
# PYTEST_ARGS  more arguments for pytest: make test PYTEST_ARGS="-k cursor -x"
# MODULES      what `make mutate` makes mistakes in: files or packages; unset, what differs from main
# MUTATE_ARGS  more arguments for it: make mutate MUTATE_ARGS="--minutes 600 --jobs 2"
# AUDIT_DATABASE  an export of osv.dev (PyPI/all.zip), to audit without a network
# DAGSTER_HOME the Dagster instance of `make dev`: an absolute path; unset, .dagster_home here
# PORT         where `make dev` listens on this machine

SHELL := /bin/sh
PYTHON ?= python3
PYTEST_ARGS ?=
PORT ?= 3000

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo dev test newest browser slow soak mutate check format schema audit lock upgrade clean

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Make .venv and install what requirements.lock pins, and this project

# The venv is made anew when it is missing or cannot run pip (half made, or its Python is gone).
# setuptools comes with the lock, so the step after it has nothing to download. pip compiles what it
# copies and not what stays here; where Python may not write, each start would do it anew, in 0.1 s.
$(INSTALLED): requirements.lock pyproject.toml setup.py
	@$(BIN)/python -m pip --version >/dev/null 2>&1 \
	|| { $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	     || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }; \
	     $(PYTHON) -m venv --clear $(VENV); }
	$(PIP) install -qq --require-hashes -r requirements.lock
	$(PIP) install -qq --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q hotjar_assets
	@touch $@

demo: install  ## Sync the built-in sandbox account twice; show its scores, write a report
	$(BIN)/hotjar-assets demo

# Without -w, dg would load what dg.toml names, as one location.
dev: install  ## Open Dagster's UI on this project, with an instance kept in .dagster_home
	@mkdir -p -m 700 .dagster_home
	@test -e .dagster_home/dagster.yaml \
	|| { rm -f .dagster_home/dagster.yaml; cp hotjar_assets/dagster.yaml .dagster_home/; }
	umask 077; DAGSTER_HOME="$${DAGSTER_HOME:-$(CURDIR)/.dagster_home}" \
	  exec $(BIN)/dg dev -w workspace.yaml --port $(PORT)

test: install  ## Run the suite: all but the tests marked browser, slow or soak
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# The lock holds DuckDB back (see pyproject.toml), and users without it have the newest.
newest: install  ## Run the tests of tables and streams against the newest DuckDB
	$(PIP) install -qq --no-deps --upgrade --target build/newest duckdb
	PYTHONPATH=build/newest $(BIN)/python -c "import duckdb; print('DuckDB', duckdb.__version__)"
	PYTHONPATH=build/newest $(BIN)/python -m pytest -n auto --dist loadfile \
	  hotjar_assets_tests/store hotjar_assets_tests/streams $(PYTEST_ARGS)

browser: install  ## Run the tests that drive a real Chromium
	$(BIN)/python -m pytest -m browser $(PYTEST_ARGS)

slow: install  ## Run the tests that take long: kills, full disks, large accounts
	$(BIN)/python -m pytest -m "slow and not soak" -n auto --dist loadfile $(PYTEST_ARGS)

soak: install  ## Run the long random tests, for as long as they are set to
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -m soak --timeout=0 $(PYTEST_ARGS)

mutate: install  ## Make mistakes in changed modules (or MODULES) and list those no test notices
	$(BIN)/python scripts/mutate.py $(MODULES) $(MUTATE_ARGS)

check: install  ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install  ## Put files in the format `make check` asks for, and fix what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: install  ## Write the JSON Schema by which editors complete streams
	$(BIN)/hotjar-assets streams schema > source.schema.json.new
	mv source.schema.json.new hotjar_assets/streams/source.schema.json

# A script of its own says by its exit status whether it could: see there, and .ci/run.
audit: install  ## Look the locked versions up in a database of advisories
	$(BIN)/python scripts/audit.py requirements.lock

# uv is pinned by the lock it writes. UPGRADE is set by `make upgrade`.
lock:  ## Write requirements.lock from pyproject.toml, keeping versions that still fit
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(PIP) install --quiet uv; }
	$(BIN)/uv pip compile pyproject.toml --quiet $(UPGRADE) \
	  --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-strip-extras --no-annotate --no-emit-index-url \
	  --no-emit-package hotjar-assets --custom-compile-command "make lock" \
	  --output-file requirements.lock

upgrade:  ## Write requirements.lock with the newest versions that pyproject.toml allows
	@$(MAKE) lock UPGRADE=--upgrade

clean:  ## Remove .venv and what tools left; the database and .dagster_home stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis htmlcov .coverage
	find hotjar_assets hotjar_assets_tests -name __pycache__ -type d -prune -exec rm -rf {} +
