# Every target does its own set-up: a virtual environment in .venv, nothing global.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed-dev
DEMO   := $(VENV)/.installed

.PHONY: help demo test test-long test-lowest crash week lock check format options-doc bench clean
.DEFAULT_GOAL := help

help: ## what there is to do
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hyperhive needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python cannot make virtual environments here; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(DEMO): python/requirements.lock python/pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV) (about 450 MB, most of it the claude program) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r python/requirements.lock
	@echo "$(CURDIR)/python" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/hyperhive.pth"
	@printf '%s\n' '#!$(CURDIR)/$(BIN)/python' 'import sys' 'from hyperhive.cli import main' 'sys.exit(main())' > $(BIN)/hyperhive
	@chmod 755 $(BIN)/hyperhive
	@touch $@

$(STAMP): python/requirements-dev.lock $(DEMO)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r python/requirements-dev.lock
	@touch $@

demo: $(DEMO) ## three agents at work, without an account
	@$(BIN)/hyperhive demo

PYTEST := $(BIN)/python -m pytest -c python/pyproject.toml --rootdir=.
# What runs beside all other tests, so that the three parts take about as long as each other.
SWARMS := tests/e2e tests/nspawn
PARTS  := tests/unit tests/browser tests/nix tests/bench

# All three are beside the shell, and so deaf to Ctrl-C: they are told to end by a signal that no hive in them takes.
test: $(STAMP) ## the whole test suite, in three parts at a time
	@said=$$(mktemp -d); parts=; trap 'kill -USR1 $$parts 2>/dev/null; wait; rm -rf "$$said"; exit 130' INT TERM; \
	  $(PYTEST) -p no:cacheprovider $(SWARMS) > "$$said/swarms" 2>&1 & parts=$$!; \
	  $(PYTEST) -p no:cacheprovider $(PARTS) > "$$said/parts" 2>&1 & parts="$$parts $$!"; \
	  $(PYTEST) tests $(patsubst %,--ignore=%,$(SWARMS) $(PARTS)) & parts="$$parts $$!"; \
	  status=0; for part in $$parts; do wait $$part || status=$$?; done; \
	  cat "$$said/swarms" "$$said/parts"; rm -rf "$$said"; exit $$status

test-long: export HYPERHIVE_LONG = 1
test-long: test ## the same with the long tests, which it leaves out otherwise

test-lowest: $(VENV)-lowest/.installed ## the test suite with the oldest supported versions
	@$(VENV)-lowest/bin/python -m pytest -c python/pyproject.toml --rootdir=. -p no:cacheprovider tests/unit tests/integration

$(VENV)-lowest/.installed: python/requirements-lowest.lock
	@$(PYTHON) -m venv $(VENV)-lowest
	@$(VENV)-lowest/bin/pip install --quiet --disable-pip-version-check --require-hashes -r python/requirements-lowest.lock
	@echo "$(CURDIR)/python" > "$$($(VENV)-lowest/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/hyperhive.pth"
	@touch $@

crash: $(STAMP) ## kill -9 at random points, for a while
	@HYPERHIVE_CRASH_ROUNDS=60 $(BIN)/python -m pytest -c python/pyproject.toml --rootdir=. --timeout=1800 tests/integration/test_crash.py

week: $(STAMP) ## a simulated week of twenty agents, with everything that goes wrong in one
	@HYPERHIVE_WEEK=1 $(PYTEST) -q -s tests/integration/test_week.py

lock: ## write the lock files anew
	@$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install --quiet --disable-pip-version-check uv
	@cd python && for kind in "requirements:" "requirements-dev:--group dev" "requirements-lowest:--resolution lowest-direct --group test"; do \
	  ../$(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    $${kind#*:} pyproject.toml -o $${kind%%:*}.lock || exit 1; done
	@rm -rf $(VENV)-lock

check: $(STAMP) ## ruff and mypy
	@$(BIN)/ruff check --config python/pyproject.toml python tests examples
	@$(BIN)/ruff format --config python/pyproject.toml --check python tests examples
	@$(BIN)/mypy --config-file python/pyproject.toml python/hyperhive

format: $(STAMP) ## rewrite the code in its one style
	@$(BIN)/ruff check --config python/pyproject.toml --fix --quiet python tests examples || true
	@$(BIN)/ruff format --config python/pyproject.toml --quiet python tests examples

options-doc: $(STAMP) ## write the NixOS options into docs/options.md (needs Nix)
	@$(BIN)/python tests/nix/options_page.py

bench: $(STAMP) ## the figures of docs/benchmarks.md, as JSON
	@$(BIN)/python tests/bench/run.py

clean: ## remove what the other targets made
	rm -rf $(VENV) .venv-lowest .pytest_cache .mypy_cache .ruff_cache .hypothesis
