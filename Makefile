# The one place for verbs. `make help` is the index. Works with GNU make 3.81.
SHELL := /bin/sh
.DEFAULT_GOAL := help
BIN := .venv/bin
ACT ?=
WHAT ?=
PYTEST_ARGS ?=
LEFT_OUT ?= --ignore tests/e2e

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

.venv/.runtime: requirements.lock pyproject.toml scripts/bootstrap
	@scripts/bootstrap requirements.lock $@

.venv/.dev: requirements-dev.lock pyproject.toml scripts/bootstrap
	@scripts/bootstrap requirements-dev.lock $@
	@touch .venv/.runtime

.PHONY: demo
demo: .venv/.runtime ## The main job, end to end, on the embedded cluster (ACT=2 runs one act)
	@$(BIN)/kaito demo $(if $(ACT),--act $(ACT),)

.PHONY: test
test: .venv/.dev ## Every test but test-e2e (contracts also on a real API server, where one is built: make controlplane)
	@$(BIN)/pytest -q -n 3 $(LEFT_OUT) $(PYTEST_ARGS)
	@$(BIN)/python -c 'from tests.controlplane.programs import find; find() or print("left out: the half on a real control plane, which is not built here (make controlplane)")'
	@$(BIN)/python -m tests.contract.kubectl.found

.PHONY: dev
dev: .venv/.dev ## Install the development tools into .venv

.PHONY: check
check: .venv/.dev ## Everything but the tests: format, lint, types, layers, generated files
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/mypy examples/operator/page.py examples/operator/topic.py examples/operator/website.py
	@$(BIN)/lint-imports --no-logo
	@$(MAKE) -s generate-check

.PHONY: format
format: .venv/.dev ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

.PHONY: generate
generate: .venv/.dev ## Write CRDs, RBAC, admission policy and the compiled catalog from their sources
	@$(BIN)/kaito generate --write

.PHONY: generate-check
generate-check: .venv/.dev
	@$(BIN)/kaito generate --check

.PHONY: controlplane
controlplane: .venv/.dev ## Build etcd and Kubernetes from pinned Go modules, once, for the other half of the contract tests
	@$(BIN)/python -m tests.controlplane.programs

.PHONY: test-e2e
test-e2e: controlplane ## The operator and simulated machines on that control plane, by kubectl
	@$(BIN)/pytest -q tests/e2e $(PYTEST_ARGS)

.PHONY: bench
bench: .venv/.dev ## Measure, and print one table (WHAT="relisting churn": only these; WHAT=everything)
	@$(BIN)/python -m benchmarks $(WHAT)

.PHONY: golden
golden: .venv/.dev ## Rewrite the recorded objects from what is rendered now; review the diff
	@KAITO_WRITE_GOLDEN=1 $(BIN)/pytest -q -p no:randomly tests/manifests

.PHONY: recording
recording: .venv/.runtime ## Play the demo and write docs/demo-transcript.md and docs/images/demo.svg anew
	@$(BIN)/python -m kaito.cli.demo.recording docs

.PHONY: lock
lock: ## Resolve the dependencies again and pin them (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --group build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --group build --group dev pyproject.toml -o requirements-dev.lock

.PHONY: clean
clean: ## Remove what make made
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
