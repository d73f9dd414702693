# One command surface, the same for people and for the gate. `make` prints this help.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SECTION ?= all
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo dev test test-all check format lock bench clean

help: ## Print this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(STAMP) ## Install everything into .venv

$(STAMP): requirements.lock pyproject.toml
	@echo "Installing into .venv (a few minutes with cold caches, seconds with warm ones)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.13 is needed, found %d.%d; choose one with make PYTHON=..." % sys.version_info[:2] if not (3, 11) <= sys.version_info[:2] <= (3, 13) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -oE '^uv==[0-9.]+' requirements.lock)"
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@UNMOGROWP_HOME=$$(mktemp -d) $(BIN)/python -m assets.manifest
	@touch $@

demo: $(STAMP) ## Run the whole platform on a simulated world and on real input
	@$(BIN)/unmogrowp demo

dev: $(STAMP) ## Start endpoint, ClickHouse, Dagster and MLflow on the demo's data
	@$(BIN)/unmogrowp up

test: $(STAMP) ## Run the fast tests (four to seven minutes on 2 cores)
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadgroup --no-loadscope-reorder

test-all: $(STAMP) ## Run all tests, the slow ones too, and print the coverage
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --cov --cov-report=term

check: $(STAMP) ## Lint, types, import contracts, SQL, dbt parse, conventions
	@echo "1/6 format"; $(BIN)/ruff format --quiet --check .
	@echo "2/6 lint"; $(BIN)/ruff check --quiet .
	@echo "3/6 types"; $(BIN)/mypy
	@echo "4/6 import contracts"; $(BIN)/lint-imports --no-cache | tail -1
	@echo "5/6 SQL, dbt parse"; $(BIN)/sqlfluff lint --disable-progress-bar dbt_project
	@cd dbt_project && UNMOGROWP_HOME=$$(mktemp -d) ../$(BIN)/dbt --quiet parse --no-partial-parse
	@echo "6/6 conventions"; $(BIN)/python -m pytest -q --no-header -p no:cacheprovider tests/test_conventions.py
	@echo "Everything holds."

format: $(STAMP) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(STAMP) ## Write requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --quiet -o requirements.lock

bench: $(STAMP) ## Measure; make bench SECTION=ingest for one section
	@$(BIN)/python -m bench $(SECTION)

clean: ## Remove the environment and every generated file (data in .unmogrowp stays)
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage* bench/out dbt_project/target dbt_project/logs
