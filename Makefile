# make demo, make test: the two to begin with. `make help` lists the rest.
# Your own machines: INVENTORY=inventory/production.yml make deploy verify

export INVENTORY ?= inventory/lab.yml
export SUITE ?= bookworm
# The hosts' Python, which their release decides.
export PYTHONS ?= $(if $(filter trixie,$(SUITE)),3.13,3.11)
PYTHON ?= python3
VENV := .venv/bin/
.DEFAULT_GOAL := help
.PHONY: help setup tools dist lab-up lab-down lab-status deploy verify demo test drills unit lint bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 14

setup: tools .venv/.whole ## the tools of this machine and the project's Python

tools: # what apt installs; only asked for where something is missing
	@sh setup.sh

.venv/.whole: requirements.lock consumers/pyproject.toml
	@echo "standfast: installing the pinned Python packages into .venv"
	@$(PYTHON) -m venv .venv
	@$(VENV)pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(VENV)pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e consumers
	@touch $@

dist: setup ## build the Kafka, ZooKeeper and Python archives (pinned by checksum)
	@$(VENV)python -m dist

lab-up: setup build/lab/postgresql.password ## three hosts, two witnesses and a database on this machine
	@$(VENV)python -m lab up

build/lab/postgresql.password:
	@mkdir -p $(@D) && umask 077 && openssl rand -hex 16 > $@

lab-down: setup ## take the lab away, with all that it made
	@$(VENV)python -m lab down

lab-status: setup ## the lab's hosts
	@$(VENV)python -m lab status

deploy: setup dist ## install and configure everything on INVENTORY (default: the lab)
	@$(VENV)pyinfra inventory/hosts.py deploy.py $(if $(filter inventory/lab.yml,$(INVENTORY)),-y)

verify: setup ## check everything on INVENTORY; safe on production at any time
	@$(VENV)python -m tests.verify

demo: setup build/lab/postgresql.password ## bring the lab up, deploy, stream, break things, show that nothing is missing
	@$(VENV)python -m drills.demo

test: lint unit ## everything: lint, unit tests, and the real thing on a new lab
	@$(VENV)python -m lab down
	@$(VENV)pytest tests/lab/test_lab_faults.py
	@$(MAKE) --no-print-directory dist lab-up
	@$(VENV)pytest -m "not drill" tests/lab tests/drills --ignore tests/lab/test_lab_faults.py
	@$(VENV)python -m lab down

drills: dist lab-up deploy ## hundreds of faults on the lab, and a roll: SEED=7, and HOURS=2 or FAULTS=200
	@$(VENV)fab roll --yes
	@$(VENV)pytest -m drill tests/lab tests/drills
	@$(VENV)python -m drills --seed $(or $(SEED),1) $(if $(HOURS),--hours $(HOURS)) $(if $(FAULTS),--faults $(FAULTS))

unit: setup ## the unit tests: a minute, no root
	@$(VENV)pytest -q tests/unit

lint: setup ## ruff, and mypy --strict
	@$(VENV)ruff check . && $(VENV)ruff format --check . && $(VENV)mypy

bench: setup ## on the lab: what flushing each record costs, how long an audit of a million takes
	@$(VENV)python -m bench.flush
	@$(VENV)python -m bench.missed

clean: lab-down ## remove what was built, the caches too
	rm -rf build .venv
