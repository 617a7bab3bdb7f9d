# Every target first sets up what it needs: a virtual environment in .venv with the versions of constraints.txt.
# Repeated, that takes no time until pyproject.toml or constraints.txt changes.

PYTHON ?= python3
DEMO_ARGS ?= train digits --no-horizontal-flip

BIN := .venv/bin
INSTALLED := .venv/.installed
BENCH_ARRAYS := benchmarks/.arrays
BENCH_PEERS := $(foreach peer,keras fastai,benchmarks/.venvs/$(peer)/.installed)
BENCH_QUICK := 'frostline quick' 'frostline fast' 'frostline quick, MobileNetV2' 'frostline fast, MobileNetV2' sklearn
BENCH_SLOW := 'frostline classic' keras torch fastai
GPU_PYTHON ?= $(if $(wildcard $(INSTALLED)),$(BIN)/python,$(PYTHON))
GPU_FLAGS = --data $(GPU_DATA) $(if $(GPU_WEIGHTS),--weights $(GPU_WEIGHTS)) $(if $(AIRBENCH),--airbench $(AIRBENCH)) \
	$(GPU_ARGS)

.DEFAULT_GOAL := help
.PHONY: help demo test test-full check format bench bench-peers bench-gpu bench-report clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "The interpreter is $(PYTHON); choose another for a new .venv with PYTHON=python3.12"

demo: $(INSTALLED) ## train a classifier of handwritten digits, with nothing to download but packages
	$(BIN)/frostline $(DEMO_ARGS)

test: $(INSTALLED) ## run the tests, without the slow ones
	$(BIN)/python -m pytest -m "not full" --numprocesses auto --dist loadfile

test-full: $(INSTALLED) ## run the slow tests
	$(BIN)/python -m pytest -m full

check: $(INSTALLED) ## lint, formatting and types, changing nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED) ## format the code and mend what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(INSTALLED) bench-peers $(BENCH_ARRAYS)/splits.csv ## measure all of docs/benchmarks.md again, for hours
	-$(BIN)/python benchmarks/parts.py
	-$(BIN)/python benchmarks/compare.py --arrays $(BENCH_ARRAYS) --tools $(BENCH_QUICK)
	-$(BIN)/python benchmarks/compare.py --arrays $(BENCH_ARRAYS) --tools $(BENCH_SLOW) --seeds 0
	-$(BIN)/python benchmarks/memory.py
	-$(BIN)/python benchmarks/growth.py -- --recipe quick
	-$(BIN)/python benchmarks/growth.py -- --recipe fast --epochs 5
	-$(BIN)/python benchmarks/duplicates.py --seed 1
	-$(BIN)/python benchmarks/labels.py
	-$(BIN)/python benchmarks/export.py
	-$(BIN)/python benchmarks/install.py
	-$(BIN)/python benchmarks/predict.py
	$(BIN)/python benchmarks/report.py

bench-peers: $(BENCH_PEERS) ## install the other tools of the benchmarks, each into an environment of its own

bench-gpu: ## measure on a GPU: GPU_DATA=folder with CIFAR-10, GPU_WEIGHTS=folder, AIRBENCH=script, GPU_ARGS=more flags
	PYTHONPATH=src $(GPU_PYTHON) benchmarks/gpu.py $(GPU_FLAGS)

bench-report: $(INSTALLED) ## make docs/benchmarks.md and docs/scale.md from the figures in benchmarks/results
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/report_scale.py

$(BENCH_ARRAYS)/splits.csv: benchmarks/prepare.py | $(INSTALLED)
	$(BIN)/python benchmarks/prepare.py $(BENCH_ARRAYS)

benchmarks/.venvs/%/.installed: benchmarks/peers/requirements-%.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check --requirement $<
	@touch $@

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
