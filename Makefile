# Every target first sets up what it needs: a virtual environment in .venv with the versions of constraints.txt.
# Repeated, that takes no time until pyproject.toml or constraints.txt changes.

PYTHON ?= python3
DEMO_ARGS ?= train digits --no-horizontal-flip

BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-full check format clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "The interpreter is $(PYTHON); choose another for a new .venv with PYTHON=python3.12"

demo: $(INSTALLED) ## train a classifier of handwritten digits, with nothing to download but packages
	$(BIN)/frostline $(DEMO_ARGS)

test: $(INSTALLED) ## run the tests, without the slow ones
	$(BIN)/python -m pytest -m "not full"

test-full: $(INSTALLED) ## run the slow tests
	$(BIN)/python -m pytest -m full

check: $(INSTALLED) ## lint, formatting and types, changing nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED) ## format the code and mend what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove the virtual environment, builds and caches; your runs/ stay
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys' || \
		{ echo 'frostline needs Python 3.11 or newer: name an interpreter with PYTHON=python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"frostline needs Python 3.11 or newer, and %s is %s: name another with PYTHON=python3.11" \
		% (sys.executable, sys.version.split()[0]))'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing the packages of constraints.txt into .venv: a few minutes the first time"
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
