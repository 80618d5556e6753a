# SPDX-License-Identifier: MIT
# Everything that is done to this checkout. `make` alone lists it.
#
# Set-up is three files, each made from the one before: .venv/.made (the virtual environment, see
# tools/make_venv.sh), .venv/.installed (packages, after pyproject.toml), and the compiled C core (after native/).

MAKEFLAGS += --no-print-directory --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Which Python makes .venv: 3.11 to 3.13. Empty: python3 where that is one of them, else the newest found.
PYTHON ?=

VENV := .venv
BIN := $(VENV)/bin
CORE := eegd/_native.abi3.so
CORE_SOURCES := $(wildcard native/*.[ch] native/*/*.[ch]) native/build.py
C_FILES := $(wildcard native/*.[ch] native/*/*.[ch] tests/native/*.[ch] tests/fuzz/*.[ch] tests/kernel/module/*.[ch] \
	examples/*.[ch])
PYTHON_FILES := eegd plugins native/build.py setup.py tests tools/plot_alpha.py $(wildcard examples/*.py)

.PHONY: help
help: ## this list
	@echo "make run and make test need no other step before them: they set up what is missing."
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{ printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- Set-up ----

.PHONY: setup
setup: $(CORE) ## make .venv, install what is needed, build the C core; PYTHON=… picks the Python

# Always asked, rarely renewed: the script knows when the environment is still good, and then leaves the file alone.
$(VENV)/.made: FORCE
	@tools/make_venv.sh "$(VENV)" "$(PYTHON)"

# The mark .installing stays behind only if this is interrupted; the environment is then made afresh.
$(VENV)/.installed: $(VENV)/.made pyproject.toml setup.py tools/name_checkout.py
	@echo "installing Python packages (some minutes on a slow line) …"
	@touch $(VENV)/.installing
	@EEGD_WITHOUT_CORE=1 PIP_USE_PEP517=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--editable ".[daemon,dev]" || { rm -f $(VENV)/.installing; exit 1; }
	@$(BIN)/python tools/name_checkout.py
	@rm $(VENV)/.installing
	@touch $@

$(CORE): $(CORE_SOURCES) $(VENV)/.made | $(VENV)/.installed
	@echo "building the C core …"
	@$(BIN)/python native/build.py

.PHONY: FORCE
FORCE:

# ---- Use ----

.PHONY: run
run: setup ## the daemon on an emulated chip, with a live view; Ctrl-C ends it
	@$(BIN)/eegd demo

# ---- Tests ----

include tests/native/native.mk
include tests/fuzz/fuzz.mk
include tests/kernel/kernel.mk

.PHONY: test
test: setup test-native ## C unit tests, then all Python tests; PYTEST_ARGS="-k lease" picks
	$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: test-soak
test-soak: setup build/alloc_counter.so ## the long runs: a minute at full rate, readers stopped for 20 s, 1000 attachments
	$(BIN)/python -m pytest -m "soak or slow" tests/soak tests/unit tests/simulation -s $(PYTEST_ARGS)

.PHONY: bench-plugins
bench-plugins: setup ## three heavy plugins on two cores, each in its process, against all in one: the speed-up
	$(BIN)/python -m tests.bench.plugins

.PHONY: test-faults
test-faults: setup ## every fault of the emulated board: how it is counted, what is lost, how long it lasts
	$(BIN)/python -m tests.faults.table

RECORDING ?= ../shared/data/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt
.PHONY: plot-alpha
plot-alpha: setup ## docs/alpha.svg: a recording through filter and bandpower, compared with scipy; RECORDING=…
	$(BIN)/python tools/plot_alpha.py "$(RECORDING)" docs/alpha.svg

.PHONY: bench-dsp
bench-dsp: setup ## signal blocks: speed beside scipy and PyWavelets, time per stage at 20 kHz
	$(BIN)/python -m tests.bench.dsp

.PHONY: test-fresh
test-fresh: ## make test and make run in a minimal Debian made for it; see tests/setup/fresh_debian.sh
	tests/setup/fresh_debian.sh

.PHONY: test-aarch64
test-aarch64: ## the tests on aarch64, translated by qemu-user; needs root; see tests/setup/aarch64.sh
	tests/setup/aarch64.sh

# ---- Service ----

include packaging/packaging.mk

# ---- Checks ----

.PHONY: check check-format check-lint check-types check-c
check: check-format check-lint check-types check-c ## the four below; make -k check goes on after a failure

check-format: setup ## is every Python and C file in the project's format? (make format puts it so)
	$(BIN)/ruff format --check --quiet .
	$(if $(C_FILES),@echo clang-format --dry-run -Werror; $(BIN)/clang-format --dry-run -Werror $(C_FILES))

check-lint: setup ## ruff's linter
	$(BIN)/ruff check --quiet .

check-types: setup ## mypy, strict
	$(BIN)/mypy $(PYTHON_FILES)

check-c: $(NATIVE_LIB_plain) $(NATIVE_TESTS_plain) $(NATIVE_EXAMPLES) ## all C with warnings as errors

.PHONY: format
format: setup ## rewrite C and Python files in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --select I --fix .
	$(if $(C_FILES),$(BIN)/clang-format -i $(C_FILES))

# ---- Clean ----

.PHONY: clean distclean
clean: ## remove what was built, keep .venv
	rm -rf build dist *.egg-info eegd/_native*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find eegd plugins tests native examples -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove .venv as well
	rm -rf $(VENV)
