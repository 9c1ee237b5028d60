# `make demo` and `make test` do all the set-up on a machine that has Python 3.11 or newer; nothing is installed outside .venv.
# The set-up is done once and again when pyproject.toml or constraints.txt change. A GPU workstation: make setup EXTRAS=vllm

EXTRAS ?=
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := $(if $(findstring vllm,$(EXTRAS)),constraints-vllm.txt,constraints.txt)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
comma := ,
USER_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev$(if $(EXTRAS),-$(EXTRAS))

export OMP_NUM_THREADS ?= 1
unexport PYTHONDONTWRITEBYTECODE  # or each of hundreds of processes would compile the same sources

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-slow test-real test-ray test-vllm check lint format bench bench-gpu

help:  ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 18

setup: $(DEV_STAMP)  ## .venv with everything to develop (EXTRAS=vllm adds vLLM)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed; name one with PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(USER_STAMP): pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "installing into $(VENV); the first time this takes some minutes"
	@$(INSTALL) -e .
	@touch $@

$(DEV_STAMP): pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "installing into $(VENV), with what development needs; the first time this takes some minutes"
	@$(INSTALL) -e '.[dev$(if $(EXTRAS),$(comma)$(EXTRAS))]'
	@touch $(USER_STAMP) $(VENV)/.installed-dev $@

demo: $(USER_STAMP)  ## a small, real search on this machine's CPU, in the terminal
	$(BIN)/llmzero demo

PYTEST := $(BIN)/python -m pytest --numprocesses 4 --dist loadfile  # four on two cores: many tests wait for other processes

test: $(DEV_STAMP)  ## every test that needs no GPU and less than ten seconds or so
	$(PYTEST)

test-long: $(DEV_STAMP)  ## tests of up to two minutes: kills and faults in whole searches, whole sessions by keys
	$(PYTEST) -m long $$(grep -rl --include='*.py' mark.long tests)

test-slow: $(DEV_STAMP)  ## the slowest: every moment of a kill, real learning
	$(BIN)/python -m pytest -m slow

test-real:  ## two pretrained models through the real engine, 135M and 270M; downloads them once, 331 MB
	@$(MAKE) --no-print-directory setup EXTRAS=real
	$(BIN)/python -m pytest -m real tests/real

test-vllm:  ## segments that generate with vLLM; VLLM_PYTHON names an environment that has it (docs/vllm.md)
	$(or $(VLLM_PYTHON),$(BIN)/python) -m pytest -m vllm tests/vllm

test-ray:  ## the Ray executor on clusters of several raylets on this machine; installs Ray, 270 MB
	@$(MAKE) --no-print-directory setup EXTRAS=ray
	$(BIN)/python -m pytest -m ray tests/engine/test_ray.py tests/engine/test_ray_partition.py

lint: $(DEV_STAMP)  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP)  ## rewrite the sources in the house's style
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

check: format lint test test-long  ## the whole loop before a commit

bench: $(DEV_STAMP)  ## overhead against a bare TRL script, and how fast the terminal is
	@for each in advisor_idle advisor_requests learning overhead tui; do echo "== $$each"; $(BIN)/python -m benchmarks.$$each || exit 1; done

bench-gpu:  ## ten minutes on a GPU: memory, step time, switches, a search; GPU=--cpu for a smoke run without one
	@$(MAKE) --no-print-directory setup EXTRAS=real
	$(BIN)/python -m benchmarks.gpu $(GPU)
