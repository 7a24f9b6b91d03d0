# `make up` needs Python 3.11 or newer, git and make; everything else comes from the package registry.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .venv/bin/uv
# pip's folders of wheels are uv's too.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_LINK_MODE ?= copy
INSTALL := $(UV) pip install --no-config --quiet
COMPILE := env -u UV_FIND_LINKS $(UV) pip compile --no-header --no-annotate --universal --python-version 3.11 --quiet

# A GPU machine runs plain vLLM, any other the CPU build.
ENGINE ?= $(if $(wildcard /proc/driver/nvidia/version),gpu,cpu)
ENGINE_OVERRIDES := $(if $(filter cpu,$(ENGINE)),--overrides locks/engine-overrides.txt)

.PHONY: help up down status logs demo install check test lock format docs bench-gateway bench-journeys bench-metering clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

up: install ## Start the platform; the first time, install and fetch what it needs
	@.venv/bin/sluice up

down: ## Stop the platform
	@if [ -x .venv/bin/sluice ]; then .venv/bin/sluice down; else echo "Nothing is installed, so nothing runs."; fi

status: install ## Show what runs
	@.venv/bin/sluice status

logs: install ## Follow the logs of all processes
	@.venv/bin/sluice logs --follow

demo: up ## Walk through all seven journeys on the running platform
	@.venv/bin/sluice demo all

install: .venv/installed .venv-vllm/installed ## Make both environments

.venv/bin/uv:
	@echo "Creating .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Error: $(PYTHON) is older than 3.11. Run: make up PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/installed: locks/platform.lock pyproject.toml | .venv/bin/uv
	@echo "Installing the platform into .venv ($$(grep -c == locks/platform.lock) packages)"
	@$(INSTALL) --python .venv -r locks/platform.lock
	@$(INSTALL) --python .venv --no-deps --editable .
	@touch $@

.venv-vllm/installed: locks/engine-$(ENGINE).lock locks/engine-overrides.txt | .venv/bin/uv
	@echo "Installing vLLM ($(ENGINE)) into .venv-vllm ($$(grep -c == locks/engine-$(ENGINE).lock) packages)"
	@[ -x .venv-vllm/bin/python ] || $(UV) venv --quiet --python .venv/bin/python .venv-vllm
	@$(INSTALL) --python .venv-vllm -r locks/engine-$(ENGINE).lock $(ENGINE_OVERRIDES)
	@touch $@

check: .venv/installed ## Format, lint, types, import directions, lock files, generated docs
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright --warnings
	.venv/bin/lint-imports
	.venv/bin/python docs/generate.py --check
	$(MAKE) --no-print-directory check-locks

check-locks: | .venv/bin/uv
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; cp locks/*.lock "$$scratch"; \
	$(MAKE) --no-print-directory lock LOCKS="$$scratch"; \
	diff -r -x '*.in' -x '*.txt' locks "$$scratch" || { echo "Error: the lock files are not current. Run: make lock"; exit 1; }; \
	echo "The lock files are current."

LOCKS := locks
lock: | .venv/bin/uv ## Bring the lock files up to date with pyproject.toml and locks/*.in, changing no more than needed
	@$(COMPILE) pyproject.toml --all-extras -o $(LOCKS)/platform.lock
	@$(COMPILE) locks/engine-cpu.in --overrides locks/engine-overrides.txt -o $(LOCKS)/engine-cpu.lock
	@$(COMPILE) locks/engine-gpu.in -o $(LOCKS)/engine-gpu.lock

format: .venv/installed ## Format and mend what can be mended
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: .venv/installed ## Generate the parts of docs/ that come from the code
	.venv/bin/python docs/generate.py

test: install ## Every test, real vLLM included
	.venv/bin/python -m pytest

bench-gateway: install ## The gateway beside its peers: CPU, latency, memory, kill -9
	.venv/bin/python tests/benchmarks/bench_gateway.py $(ARGS)

bench-journeys: install ## The journeys: quality, statistics, leaks, overspending, time, memory, kill -9
	.venv/bin/python tests/benchmarks/bench_journeys.py $(ARGS)

bench-metering: install ## Metering: CPU feature by feature, a soak, the proof that nothing is over, two replicas
	.venv/bin/python tests/benchmarks/bench_metering.py $(ARGS)

clean: ## Remove both environments; state in .sluice stays
	rm -rf .venv .venv-vllm
