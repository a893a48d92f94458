# `make help` lists what there is to do.

SHELL := /bin/sh
# The first Python that is new enough; where there is none, python3 says so itself.
ifndef PYTHON
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; \
	done; echo python3)
endif
IN_VENV := .venv/bin/python
HAVE_PYTHON := command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or later is needed: install it." >&2; exit 1; }
RUN_ENV := @$(HAVE_PYTHON); exec $(PYTHON) -m console.start.environment requirements.txt
DEV_ENV := @$(HAVE_PYTHON); exec $(PYTHON) -m console.start.environment requirements-dev.txt
LOCK := $(IN_VENV) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links

.PHONY: help run demo-reset test lint format bench races faults soak shots lock
.DEFAULT_GOAL := help

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 20

run: ## start the console with its demo on http://localhost:8000 (PORT=, DATABASE_URL=)
	$(RUN_ENV)
	@DEMO=1 exec $(IN_VENV) -m console.start

demo-reset: ## rebuild the demo, relative to today
	$(RUN_ENV)
	@DEMO=1 exec $(IN_VENV) -m console.start demo-reset

test: ## everything that must hold, as CI asks it
	$(DEV_ENV)
	@exec $(IN_VENV) .ci/gate.py

lint: ## the quick part of it: format, lint, templates, types, imports
	$(DEV_ENV)
	@exec $(IN_VENV) .ci/gate.py --lint

format: ## put code into its form
	$(DEV_ENV)
	@$(IN_VENV) -m ruff check --quiet --fix . ; $(IN_VENV) -m ruff format .

bench: ## measure pages against others, approvals and payouts a second; a line a figure
	$(DEV_ENV)
	@exec $(IN_VENV) -m tests.bench

races: ## many at once and random acts, at length and with other examples each time
	$(DEV_ENV)
	@exec $(IN_VENV) .ci/gate.py --long tests/races tests/machine

shots: ## photograph every page into var/screenshots
	$(DEV_ENV)
	@exec $(IN_VENV) .ci/gate.py --shots

faults: ## kill workers at every point, take their database away; a sample of it stands in the gate
	$(DEV_ENV)
	@exec $(IN_VENV) .ci/gate.py --long tests/faults

soak: ## 4 workers and 500 payouts through channels of which three answers in ten go wrong
	$(DEV_ENV)
	@exec $(IN_VENV) .ci/gate.py --long tests/soak

lock: ## compile the pins of pyproject.toml anew
	$(DEV_ENV)
	@$(IN_VENV) -m pip install -qq --disable-pip-version-check uv
	@$(LOCK) $(UPGRADE) --output-file requirements.txt
	@$(LOCK) $(UPGRADE) --group dev --constraint requirements.txt --output-file requirements-dev.txt \
		--no-binary python-alipay-sdk --emit-build-options
