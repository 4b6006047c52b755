# `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint format schema docs lock clean

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/ready ## Create the environment in .venv (about 3 minutes, once)

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "CNNtention needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: setup ## Run the demo study to results/demo/report/index.html
	snakemake --cores $(CORES) --configfile workflow/studies/demo.yaml
	@echo "Open results/demo/report/index.html"

test: setup ## Lint, and run all tests
	$(MAKE) --no-print-directory lint
	python -m pytest -n 2 --dist worksteal

test-fast: setup ## Run all tests but the slow ones
	python -m pytest -m "not slow and not slurm and not long"

lint: setup ## Check style: ruff, snakefmt, snakemake --lint
	ruff check
	ruff format --check
	snakefmt --check Snakefile workflow
	snakemake --lint

format: setup ## Fix style
	ruff check --fix
	ruff format
	snakefmt Snakefile workflow

schema: setup ## Rewrite workflow/schemas/config.schema.json, the editors' schema of config.yaml
	python -m cnntention schema --out workflow/schemas/config.schema.json

docs: setup ## Rewrite docs/tables.md and docs/faults.md from the code and the tests
	python -c 'from cnntention.results import rows, tables; print(rows.describe_tables(), end="")' > docs/tables.md
	python tests/faults.py > docs/faults.md

lock: setup ## Rewrite requirements.lock, every dependency with its hashes, from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --universal --python-version 3.11 --quiet \
		--no-annotate --custom-compile-command "make lock" --output-file requirements.lock

clean: ## Remove the environment and caches; keeps data/ and results/
	rm -rf $(VENV) .snakemake .pytest_cache .ruff_cache
