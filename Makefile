# Needs make and Python >= 3.11 with its venv module; everything else is installed into $(VENV).
#   make demo PYTHON=/path/to/python3.12    another interpreter
#   make test VENV=/tmp/venv PYTEST="-k funding -x"     more words for pytest: -n 0 for one process, -n 8 for eight
# An interrupted demo goes on where it stopped, and a finished one shows its tables again (--resume).
VENV   ?= .venv
PYTHON ?= python3
RUNS   ?= runs
DEMO   ?= --preset quick --out $(RUNS)/demo --resume
PYTEST ?=

python := $(VENV)/bin/python
install := $(python) -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Made-up and resampled histories are long.
LONG := $(addprefix tests/market/test_,synthetic.py synthetic_portfolio.py resampled.py real_data.py)
# Tests of numbers by hand, files, settings and imports; the rest needs trainings or long rollouts.
FAST := $(wildcard tests/test_*.py) tests/formulas tests/golden tests/venues tests/dynamics \
  $(filter-out $(LONG),$(wildcard tests/market/test_*.py)) $(addprefix tests/agents/test_,registry.py rules.py zscore.py zscore_size.py) \
  $(addprefix tests/laws/test_,by_hand.py funding.py execution.py keeper.py shared_capital.py)

# two processes, each file of tests in one of them
workers := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo check test install lint types warm vectors format docs review clean
# mypy and the compiler of the simulation, which both take a minute where nothing is kept, at once; all tests need the vector form too, which is
# compiled beside the other forms when mypy has ended
first := $(MAKE) --no-print-directory -j 2 lint types warm

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-16s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.train  ## train PPO and SAC on the embedded market and compare them with the rules, into runs/demo
	$(python) -m experiments.benchmark $(DEMO)

check: $(VENV)/.dev  ## lint, types and the fast tests: what to run before every commit
	@$(first)
	$(python) -m pytest -q $(workers) -m "not slow and not learn" $(FAST) $(PYTEST)

test: $(VENV)/.dev  ## lint, types and all tests (those on real data only where FUNDENV_DATA names a folder)
	@$(first) vectors
	$(python) -m pytest $(workers) $(PYTEST)

install: $(VENV)/.dev  ## only install what development needs, into .venv

lint: $(VENV)/.dev  ## style and likely bugs
	$(python) -m ruff check .
	$(python) -m ruff format --check .

types: $(VENV)/.dev  ## mypy
	$(python) -m mypy

warm: $(VENV)/.dev  ## compile the simulation, where that was not done yet
	$(python) -m fundenv.batch.warm

vectors: $(VENV)/.dev  ## compile its vector form too
	$(python) -m fundenv.batch.warm vectors

format: $(VENV)/.dev  ## rewrite the sources in the project's format
	$(python) -m ruff check --fix .
	$(python) -m ruff format .

docs: $(VENV)/.docs  ## build the documentation site, offline; open docs/_build/html/index.html
	$(python) -m sphinx -q -W --keep-going -j auto -b html docs docs/_build/html

review: $(VENV)/.train  ## TensorBoard over all runs
	$(python) -m tensorboard.main --logdir $(RUNS)

clean:  ## remove the virtual environment and what tools cached; runs/ stays
	rm -rf $(VENV) build dist docs/_build docs/_generated docs/gallery .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find fundenv agents experiments tests -name __pycache__ -prune -exec rm -rf {} +

# One stamp for each extra: a second call installs nothing.
$(VENV)/.train $(VENV)/.dev $(VENV)/.docs: $(VENV)/.%: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing fundenv[$*] into $(VENV) (some minutes the first time)"
	@$(install) -e '.[$*]'
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "fundenv needs Python >= 3.11, but $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1); name another one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) has no working venv module (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
