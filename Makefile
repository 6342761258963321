# `make demo` shows recoup at work, `make test` checks it. Both set up what they need in .venv when they first run.
#
#   make test PYTHON=python3.13 VENV=.venv-3.13     another Python, in an environment of its own
#   make test ARGS='tests/strategies/retry -x'      a part of the suite

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
VERSIONS ?= 3.11 3.12 3.13

# Every path is relative, and tools run as `python -m`: so the folder may have spaces in its name.
PY := $(VENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test long stress cover mutate versions lint types docs bench wheel clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo      a client survives a misbehaving HTTP service, live (under a minute)'
	@echo 'make test      the whole suite; ARGS=... for a part of it'
	@echo 'make long      the simulation with 20,000 seeds; ARGS=17 replays one'
	@echo 'make stress    32 threads and 8 event loops on shared strategies'
	@echo 'make cover     the suite once more, without shapes, and branch coverage: below 100 % is an error'
	@echo 'make versions  the suite on each of Python $(VERSIONS) that is installed'
	@echo 'make mutate    mutation tests of the files that decide; ARGS=retry/state for one of them'
	@echo 'make lint      ruff: rules and format'
	@echo 'make types     mypy and pyright'
	@echo 'make docs      HTML in docs/_build/html; warnings are errors'
	@echo 'make bench     measure recoup beside its peers; ARGS=--help lists the options'
	@echo 'make wheel     build the wheel, install it alone elsewhere and use it'
	@echo 'make clean     remove everything that make made'

demo: $(VENV)/.demo
	$(PY) -m recoup demo $(ARGS)

test: $(VENV)/.dev
	$(PY) -m pytest $(ARGS)

# The suite itself runs the first 500 seeds.
long: $(VENV)/.dev
	$(PY) -m tests.simulation $(or $(ARGS),0-20000 --jobs 0)

stress: $(VENV)/.dev
	RECOUP_STRESS=full $(PY) -m pytest -q tests/stress $(ARGS)

# What shape.py does needs its own tests with shapes on; everything else is the same code with and without, and is
# measured without, so that the suite runs both ways and each line counts where it stands.
cover: $(VENV)/.dev
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest -q tests/core
	RECOUP_SHAPE=off $(PY) -m coverage run -m pytest -q
	$(PY) -m coverage combine -q
	$(PY) -m coverage report

mutate: $(VENV)/.dev
	$(PY) -m tests.mutation $(ARGS)

# PYENV_VERSION means something to pyenv alone, which hides the versions that nobody chose.
versions:
	@for version in $(VERSIONS); do \
	  export PYENV_VERSION=$$version; \
	  if "python$$version" -c '' 2>/dev/null; then \
	    $(MAKE) --no-print-directory test "PYTHON=python$$version" "VENV=.venv-$$version" || exit 1; \
	  else \
	    echo "python$$version: not installed, left out"; \
	  fi; \
	done

lint: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(VENV)/.dev
	$(PY) -m mypy
	$(PY) -m pyright --pythonpath $(PY)

docs: $(VENV)/.dev
	$(PY) -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo 'open docs/_build/html/index.html'

# An environment of its own: the peers are nobody's dependencies.
bench: $(VENV)-bench/.made
	$(VENV)-bench/bin/python -m pip install --quiet --editable . --requirement benchmarks/requirements.txt
	$(VENV)-bench/bin/python -m benchmarks $(ARGS)

wheel: $(VENV)/.dev
	bash .ci/wheel $(PY)

clean:
	rm -rf .venv .venv-* build dist docs/_build htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests docs examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are made last: an installation that was interrupted starts again.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("recoup needs Python 3.11 or newer, this is %d.%d. Say which one to use: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)-bench/.made:
	$(PYTHON) -m venv --clear $(VENV)-bench
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	$(PY) -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	$(PY) -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.demo
