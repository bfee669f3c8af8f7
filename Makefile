# Everything prunekit needs lives in .venv, which is made on the first `make lab` or `make test`.
# pip reads its own settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS, …) as everywhere.

PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11 python # the first one that will do
ARGS ?=
SEED ?= 0

READY := .venv/ready
VENV_PYTHON := .venv/bin/python
PIP := $(VENV_PYTHON) -m pip --disable-pip-version-check

# The kernel of .venv comes first, whatever else is installed for this user.
export JUPYTER_PREFER_ENV_PATH := 1
unexport JUPYTER_PATH

# Threads that spin while they wait make a busy machine many times slower.
export OMP_WAIT_POLICY ?= passive

# Lab asks nobody outside for news, updates, extensions or language servers.
LAB := $(VENV_PYTHON) -m jupyterlab --log-level=WARN --ServerApp.root_dir=. \
  --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb \
  --LabApp.news_url=None --LabApp.extension_manager=readonly \
  --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
  --LanguageServerManager.autodetect=False

.PHONY: help lab test test-jitter test-kernels test-browser lint clean

help:
	@echo 'make lab    open the course in JupyterLab (the first time, set up .venv)'
	@echo 'make test   run every test, notebooks included'
	@echo 'make test-jitter SEED=1   as test, with the last digits of another processor'
	@echo 'make test-kernels   notebooks and solutions, with every kernel of this processor'
	@echo 'make test-browser   run the notebooks and move the widgets in chromium (part of make test)'
	@echo 'make lint   check the style of the code'
	@echo 'make clean  remove .venv and everything else that was made'
	@echo
	@echo "ARGS is passed on: make lab ARGS='--no-browser --port 9999', make test ARGS='-k reap'"

lab: $(READY)
	@echo 'JupyterLab opens in your browser. To stop it: Ctrl-C here.'
	@$(LAB) $$([ "$$(id -u)" = 0 ] && echo --allow-root) $(ARGS)

# One file at a time to each core; notebooks get the last digits of another processor (JITTER).
PYTEST := $(VENV_PYTHON) -m pytest --numprocesses auto --maxprocesses 8 \
  --dist loadfile --no-loadscope-reorder

test: $(READY)
	@$(PYTEST) $(ARGS)

# Every test as on another processor: the last digits of all products and sums are moved.
test-jitter: $(READY)
	@JITTER=$(SEED) $(PYTEST) $(ARGS)

# Notebooks and solutions with the other kernels that this processor has, and with more threads.
KERNELS := ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=COMPATIBLE \
  DNNL_MAX_CPU_ISA=SSE41 OMP_NUM_THREADS=1 OMP_NUM_THREADS=2
test-kernels: $(READY)
	@for kernels in $(KERNELS); do \
	  echo "$$kernels"; \
	  env $$kernels JITTER=off $(PYTEST) --quiet --no-header notebooks lessons/*/solution.ipynb $(ARGS) || exit 1; \
	done

test-browser: $(READY)
	@$(VENV_PYTHON) -m pytest tests/browser $(ARGS)

lint: $(READY)
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# $(READY) names this folder, and is written last. Without it the set-up was interrupted, or the
# folder was moved: start again from an empty .venv.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
CLEAR := --clear
endif

WILL_DO := 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'

$(READY): requirements.lock pyproject.toml
	@rm -f $@
	@for python in $(PYTHON) none; do $$python -c $(WILL_DO) 2>/dev/null && break; done; \
	if [ "$$python" = none ]; then \
	  echo "prunekit needs Python 3.11, 3.12, 3.13 or 3.14, and none of these is one: $(PYTHON)"; \
	  echo "Install one (python.org, apt, brew, conda), or name yours: make lab PYTHON=/path/to/python"; \
	  exit 1; \
	fi >&2; \
	echo "Setting up .venv with $$($$python --version): a few minutes, once."; \
	$$python -m venv $(CLEAR) .venv || { \
	  echo "$$python cannot make a virtual environment; its own message is above."; \
	  echo "On Debian and Ubuntu: sudo apt install python3-venv. Then run make again."; \
	  exit 1; \
	} >&2
	@{ $(PIP) install --progress-bar off --requirement requirements.lock && echo DONE; } | { \
	  while read -r line; do \
	    [ "$$line" = DONE ] && echo && exit; \
	    printf '\r%-78.78s' "$$line"; \
	  done; \
	  echo; echo "The set-up did not finish. Run make again to start it afresh." >&2; exit 1; \
	}
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@mkdir -p .venv/share/jupyter/lab/settings # Lab asks nobody whether they want its news
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}' \
	  > .venv/share/jupyter/lab/settings/overrides.json
	@pwd -P > $@
