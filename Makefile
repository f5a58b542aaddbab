# `make sweep` and `make test` are all a newcomer needs: both install first, into .venv here.
#   make sweep ARGS="--num-samples 32"     make test ARGS="-m 'not slow'"     make ui OUTPUT=elsewhere

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
OUTPUT ?= runs
PORT ?= 5000
MINUTES ?= 10
JOBS ?= 2
ARGS ?=
# The first interpreter that is new enough makes the environment; PYTHON=... chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; \
	done)

# OUTPUT may hold blanks, quotes, % and ?: no function of make that splits words at blanks is used, and
# the URI codes what SQLAlchemy would read as a code or as options (wsvis_platform/database_place.py).
quoted = '$(subst ','\'',$(1))'
DATABASE = $(if $(filter /%,$(firstword $(OUTPUT))),,$(CURDIR)/)$(OUTPUT)/mlflow.db

.DEFAULT_GOAL := help
.PHONY: help install run sweep test test-faults test-wheel fuzz lint ui bench clean

help:
	@echo "make install  the project and its tools into .venv"
	@echo "make run      videos with class labels to masks, tracks and films: 12 clips that it writes first"
	@echo "make sweep    the sweep over A and T on the embedded data (ARGS=... go to the script)"
	@echo "make test     all tests, in JOBS=2 processes (ARGS=... go to pytest)"
	@echo "make fuzz     unsound files on every reader for MINUTES=10"
	@echo "make test-faults  the fault matrix: kills, stops, full disk, against an undisturbed sweep (an hour)"
	@echo "make test-wheel   a wheel in an empty environment does wsvis run"
	@echo "make lint     ruff and pyright"
	@echo "make ui       browse the runs under OUTPUT ($(OUTPUT)) at http://127.0.0.1:$(PORT)"
	@echo "make bench    benchmarks"
	@echo "make clean    remove caches and .venv; results under runs/ stay"

install: $(INSTALLED)

# A stamp: installing again takes no time until the list of packages changes.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 found; install one or give PYTHON=/path/to/python3" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "error: $(PYTHON) cannot make $(VENV); on Debian or Ubuntu install python3-venv" >&2; exit 2; }
	@echo "installing into $(VENV) (a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: install
	@test -e $(call quoted,$(OUTPUT)/clips/labels.csv) || \
		$(BIN)/wsvis data synth $(call quoted,$(OUTPUT)/clips) --as-videos
	$(BIN)/wsvis run --preset clips-standin --classifier.epochs 12 --classifier.min-steps 100 \
		--detector.steps 300 --detector.warm-up 30 \
		--videos $(call quoted,$(OUTPUT)/clips) --out $(call quoted,$(OUTPUT)/clips-run) $(ARGS)

sweep: install
	$(BIN)/python experiments/sweep_fcam.py $(ARGS)

# Two processes: a test that starts Ray waits more than it works. A file's tests share its Ray, and the
# files with Ray begin first (tests/conftest.py).
test: install
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

fuzz: install
	PYTHONPATH=.:platform:tests $(BIN)/python -m fuzz.run --minutes $(MINUTES) $(ARGS)

test-faults: install
	$(BIN)/python -m pytest -m faults tests/faults $(ARGS)

# A wheel, installed into an empty environment, must do what the checkout does.
test-wheel: install
	@set -eu; place=$$(mktemp -d); trap 'rm -rf "$$place"' EXIT; \
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$$place" .; \
	$(BIN)/python -m venv "$$place/venv"; \
	echo "installing the wheel into an empty environment (a few minutes) ..."; \
	"$$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt "$$place"/*.whl; \
	cd "$$place"; \
	venv/bin/wsvis --version; \
	venv/bin/wsvis experiment sweep_fcam --help > /dev/null; \
	venv/bin/wsvis data synth clips --as-videos --videos 2; \
	venv/bin/wsvis run --preset clips-standin --classifier.epochs 1 --classifier.min-steps 1 --stop-after masks \
		--videos clips --out out; \
	test -s out/report.html; test -s out/results.json; echo "the wheel works"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

ui:
	@test -f $(call quoted,$(DATABASE)) || { printf "error: %s does not exist; run 'make sweep' first or give OUTPUT=...\n" $(call quoted,$(DATABASE)) >&2; exit 2; }
	@echo serving $(call quoted,sqlite:///$(DATABASE))
	@$(MAKE) --no-print-directory install
	@$(BIN)/wsvis ui --output $(call quoted,$(OUTPUT)) --port $(PORT)

bench: install
	$(BIN)/python -m pytest benchmarks --benchmark-only $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .benchmarks build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
