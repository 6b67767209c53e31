# Every target that needs Python makes the virtual environment first, and again when pyproject.toml changes.

PYTHON ?= python3
VENV   := .venv
READY  := $(VENV)/ready
PY     := $(VENV)/bin/python
KILLS  ?= 10000
ARGS   ?=
TOOLS  := jq ripgrep sqlite3 strace
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Tests sync thousands of times: in memory where there is room for it (2 GB), else where temporary files go.
SHM := $(shell [ -w /dev/shm ] && [ "$$(df -Pk /dev/shm | awk 'NR==2{print $$4}')" -gt 2000000 ] && echo /dev/shm)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run run-lm test check bench crash mutants tools clean

help:
	@echo "make run      run KIRA's 33 modules with everything saved; kill it and type it again (ARGS='--help' for options)"
	@echo "make run-lm   train a small model on real text, likewise"
	@echo "make test     run the test suite (ARGS='-k name' for a part of it)"
	@echo "make check    layers, format, lint and strict types"
	@echo "make bench    measure what saving costs"
	@echo "make crash    kill real runs KILLS=$(KILLS) times and compare; goes on where it was stopped; then sealing, indexing, exports and imports"
	@echo "make mutants  plant bugs, and see that each is caught"
	@echo "make tools    install tools to look at logs with: $(TOOLS)"
	@echo "make clean    remove the virtual environment and all caches; sessions stay"

# The stamp is there only while the environment is whole: an interrupted install starts over in a cleared one.
$(READY): pyproject.toml
	@if [ -f $@ ]; then rm $@; else echo "making $(VENV) …"; $(PYTHON) -m venv --clear $(VENV); fi
	@$(PY) -m pip install -qq -e '.[dev]'
	@touch $@

run: $(READY)
	@$(VENV)/bin/holdfast run full_pipeline --session demo --seed 7 $(ARGS)

run-lm: $(READY)
	@$(PY) examples/train_lm.py $(ARGS)

test: $(READY)
	@$(if $(SHM),TMPDIR=$(SHM) )$(PY) -m pytest -q -n auto $(ARGS)

check: $(READY)
	@$(PY) -m pytest -q tests/surface/test_layers.py
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy

bench: $(READY)
	@$(PY) bench/capture.py $(ARGS)

crash: $(READY)
	@$(PY) -m tests.crash.campaign --kills $(KILLS) $(ARGS)
	@$(if $(SHM),TMPDIR=$(SHM) )HOLDFAST_FULL=1 $(PY) -m pytest -q -n auto -rP tests/crash/test_seal_kills.py tests/crash/test_indexing.py tests/crash/test_moving_kills.py

mutants: $(READY)
	@$(PY) -m tests.mutants $(ARGS)

tools:
	@$(SUDO) apt-get update -qq
	@$(SUDO) apt-get install -y -qq $(TOOLS)

clean:
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
