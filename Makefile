# `make demo` shows what this is, `make test` runs the tests; `make help` lists the rest.
# Each target makes .venv by itself, and is quick when that is up to date.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check -c constraints.txt
PYTEST := $(BIN)/python -m pytest

# The tests wait for processes more than they work: three at a time keep two cores busy.
WORKERS ?= 3
AT_ONCE := -n $(WORKERS) --dist loadfile

CLIENT := .venv-client
CLIENT_PYTHON ?=
CLIENT_NEEDS := import sys; sys.exit(sys.version_info < (3, 12))

# Which interpreter a Python is made of: the same for python3 and for a .venv made by it.
IDENTITY := import sys; print(*sys.version_info[:3], sys.base_prefix)
MINIMUM := import sys; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help demo test slow-test postgres-test browser-test wheel-test fuzz notebooks lint format docs sample-data check bench constraints clean FORCE

help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "PYTHON=python3.12 builds .venv with another Python, ARGS='-k name' goes to pytest,"
	@echo "WORKERS=0 runs the tests one after the other."

demo: $(VENV)/.demo ## Send made-up traffic through a real proxy: spend table, report.html
	$(BIN)/mdm demo $(ARGS)

test: $(VENV)/.dev ## Run the tests, the slow ones left out
	$(PYTEST) -q -m "not slow and not browser" $(AT_ONCE) $(ARGS)

slow-test: $(VENV)/.dev ## Run the slow tests: crashes, load, many processes
	$(PYTEST) -q -m "slow and not browser" --ignore=tests/packaging $(AT_ONCE) $(ARGS)

# Debian's, of the newest version that is installed.
POSTGRES_BIN ?= $(lastword $(sort $(wildcard /usr/lib/postgresql/*/bin)))
postgres-test: $(VENV)/.dev ## Run the tests of Postgres with the server in POSTGRES_BIN
	@[ -x "$(POSTGRES_BIN)/initdb" ] || { \
	  echo "there is no PostgreSQL in '$(POSTGRES_BIN)';" \
	       "name a folder: make postgres-test POSTGRES_BIN=/usr/lib/postgresql/15/bin" >&2; exit 1; }
	@"$(POSTGRES_BIN)/postgres" --version
	MAJORDOMO_TEST_POSTGRES_BIN="$(POSTGRES_BIN)" $(PYTEST) -q -m "not slow" $(AT_ONCE) \
	  tests/drain tests/upgrade tests/apikeys tests/proxy/test_keys_in_postgres.py \
	  tests/faults/test_postgres_*.py tests/engines/test_postgres.py tests/engines/test_gateways.py \
	  tests/cli/test_query.py $(ARGS)

browser-test: $(VENV)/.dev ## Look at the pages with headless Chromium
	$(PYTEST) -q -m browser $(ARGS)

wheel-test: $(VENV)/.dev ## Build the wheel and try every extra in an empty environment
	$(PYTEST) -q tests/packaging $(ARGS)

SECONDS ?= 1200
fuzz: $(VENV)/.dev ## Fuzz the parsers with atheris, SECONDS=1200 in all
	@$(PIP) atheris
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

client-test: $(VENV)/.dev $(CLIENT)/.made ## Call through a proxy with majordomo_llm, which needs Python 3.12
	MAJORDOMO_LLM_PYTHON=$(CLIENT)/bin/python $(PYTEST) -q tests/sdk/test_majordomo_llm.py $(ARGS)

notebooks: $(VENV)/.dev ## Execute the notebooks, writing nothing
	@for notebook in notebooks/*.ipynb; do \
	  [ -e "$$notebook" ] || { echo "there are no notebooks"; break; }; \
	  echo "executing $$notebook"; $(BIN)/jupyter execute --timeout=300 "$$notebook" || exit 1; \
	done

lint: $(VENV)/.dev ## Check style, format, types, and for what is unsafe
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit -q -c pyproject.toml -r majordomo_analytics proxy/majordomo_proxy

format: $(VENV)/.dev ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## Write the generated parts of the documentation anew
	$(BIN)/python docs/generate.py

sample-data: $(VENV)/.dev ## Make the shipped sample anew, with its truth and checksums
	$(BIN)/python -m majordomo_analytics.sampling.shipped

check: lint test slow-test browser-test notebooks wheel-test ## Everything that must pass before a change goes in

bench: $(VENV)/.dev ## Measure relaying, pricing, Postgres and promotion beside what they are compared with
	PYTHONPATH=. $(BIN)/python benchmarks/proxy_overhead.py $(ARGS)
	PYTHONPATH=. $(BIN)/python benchmarks/stream_chunks.py $(ARGS)
	PYTHONPATH=. $(BIN)/python benchmarks/pricing.py $(ARGS)
	PYTHONPATH=. $(BIN)/python benchmarks/catch_up.py $(ARGS)
	PYTHONPATH=. $(BIN)/python benchmarks/postgres_outage.py $(ARGS)
	PYTHONPATH=. $(BIN)/python benchmarks/promoted.py $(ARGS)
	PYTHONPATH=. $(BIN)/python benchmarks/asking.py
	PYTHONPATH=. $(BIN)/python benchmarks/many_users.py

constraints: ## Pin the newest versions that work on this Python, in constraints.txt
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install --quiet --disable-pip-version-check '.[all,dev]'
	(sed -n '/^#/p' constraints.txt; build/constraints/bin/python -m pip freeze --exclude majordomo-analytics) > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/constraints

clean: ## Remove .venv, caches and what the tests and the demo left
	rm -rf $(VENV) $(CLIENT) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage report.html
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# .venv/.python is rewritten only when the interpreter changes, so that make goes on to the
# installs below only then, or when the project's own lists of dependencies have changed.
$(VENV)/.python: FORCE
	@$(PYTHON) -c '$(MINIMUM)' || { \
	  echo "this project needs Python 3.11 or newer, and $(PYTHON) is \`$$($(PYTHON) --version 2>&1)\`;" \
	       "name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@identity="$$($(PYTHON) -c '$(IDENTITY)')"; \
	if [ "$$identity" != "$$($(BIN)/python -c '$(IDENTITY)' 2>/dev/null)" ]; then \
	  echo "making $(VENV) with $$($(PYTHON) --version)"; \
	  base="$$($(PYTHON) -c 'import sys; print(sys._base_executable)')"; \
	  rm -rf $(VENV); "$$base" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; \
	fi; \
	[ -e $@ ] || touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing what the demo needs (about a minute, once)"
	@$(PIP) -e '.[proxy]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing what the tests need (some minutes, once)"
	@$(PIP) -e '.[dev]'
	@touch $(VENV)/.demo $@

# An environment of its own: the client needs a newer Python than we do, and an older anthropic.
$(CLIENT)/.made: tests/sdk/client-requirements.txt
	@found=; for python in $(or $(CLIENT_PYTHON),$(PYTHON) python3.13 python3.12); do \
	  "$$python" -c '$(CLIENT_NEEDS)' 2>/dev/null && found="$$python" && break; \
	done; \
	[ -n "$$found" ] || { \
	  echo "majordomo_llm needs Python 3.12 or newer;" \
	       "name one: make client-test CLIENT_PYTHON=/path/to/python3.12" >&2; exit 1; }; \
	echo "making $(CLIENT) with $$("$$found" --version) (about a minute, once)"; \
	base="$$("$$found" -c 'import sys; print(sys._base_executable)')"; \
	rm -rf $(CLIENT); "$$base" -m venv $(CLIENT)
	@$(CLIENT)/bin/python -m pip install -qq --no-compile --disable-pip-version-check -r $<
	@touch $@

FORCE:
