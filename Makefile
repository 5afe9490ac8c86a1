# make demo, make test: on a fresh machine with Python 3.10 or newer, make and git.
# make bench: what things cost, into runs/benchmarks; ONLY="difc engine" for some sections.
# make slow: the tests that take minutes or measure speed, before a release.
# make mutants: whether the tests notice changed formulas; FILES="pa_difc/losses/difc.py", SAMPLE=20 of each, SEED=0.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test slow env check docs bench mutants matrix

demo: env
	$(BIN)/python recipes/compare.py --source toy_studio --target toy_street \
	    --methods source_only dann safn mcd --losses ce di difc --out runs/demo

test: env  # a file of tests at a time, long ones first
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

slow: env
	$(BIN)/python -m pytest -m slow

matrix:  # the tests with the oldest and the newest supported versions
	PYTHON=$(PYTHON) .ci/matrix

check: env
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: env
	$(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt '.[docs]'
	$(BIN)/mkdocs build --quiet --strict --config-file .ci/mkdocs.yml && echo "written: .site/index.html"

bench: env
	@$(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt --editable '.[bench]'
	KINETO_LOG_LEVEL=99 OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -W ignore -m benchmarks $(ONLY)

mutants: env  # what is left of a run that was stopped is tried by the next one
	@$(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt --editable '.[mutants]'
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -W ignore -m mutants $(FILES) \
	    $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))

env: $(READY)

$(READY): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "error: Python %d.%d is too old: pa_difc needs 3.10 or newer (make PYTHON=python3.11 …)" % sys.version_info[:2])'
	@echo "making the environment in $(VENV): some minutes, several GB"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@
	@$(BIN)/python -c 'import platform, torch; print(f"environment ready ($(VENV), Python {platform.python_version()}, torch {torch.__version__})")'
