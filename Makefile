# Needs make and Python 3.11 or newer; everything else goes into .venv.
PYTHON ?= $(shell for python in python3.12 python3.11 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)
BIN := .venv/bin
# Beside the torch that the machine has.
GPU_BIN := .venv-gpu/bin
TORCH := .venv/.torch
DEMO := .venv/.demo
INSTALLED := .venv/.installed
# PyTorch's builds without CUDA, a fifth of the others' size. macOS has no others.
CPU_TORCH := https://download.pytorch.org/whl/cpu

.PHONY: help demo test test-slow test-browser test-servers lint docs dist bench bench-quick bench-gpu wheels quality mini snapshot clean

help:
	@echo "make demo   a search on real pictures; IMAGES=folder for your own"
	@echo "make test   all tests but those of the next two lines"
	@echo "make test-slow  the slow tests: kills, restarts, memory, training, guides, packages, benchmarks, whole sets of photographs"
	@echo "make test-browser  the tests that drive a browser: the page"
	@echo "make test-servers  what depends on the server's version, on another one; SERVER=16, or the folder of its programs"
	@echo "make lint   ruff, mypy and the import contracts"
	@echo "make docs   the documentation as a site, in build/site; warnings are errors"
	@echo "make dist   source distribution and wheel, built and checked, in dist"
	@echo "make bench  spocdb beside its peers, up to a million images: an hour and a half; the documentation's tables of speed"
	@echo "make bench-quick  the same with less of everything, four minutes, no table"
	@echo "make bench-gpu  a GPU's tests and benchmark; WHEELS=folder where there is no network"
	@echo "make wheels  fetch what bench-gpu needs there; WHEELS=folder to put it in"
	@echo "make quality  the tables of networks; HOLIDAYS=folder CORPUS=folder TRAIN=folder WEIGHTS='NAME=FILE ...' FOLDER=folder to keep descriptors in"
	@echo "make mini   the network in the box; IMAGES='folder ...' SQUEEZENET=file MOBILENET=file"
	@echo "make snapshot  freeze the SQL of a release: VERSION=0.2.0, see migrations/README.md"
	@echo "make clean  remove .venv and everything that was built"

demo: $(DEMO)
	$(BIN)/python -m demo $(if $(IMAGES),--images "$(IMAGES)")

# One process more than there are cores, because tests wait for servers, with one thread of torch
# each, because more threads would compete for the cores. A free process takes the next test, or the next group of tests that share a fixture.
# Bytecode is always written: otherwise each process compiles all modules again.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses auto --dist loadscope

test: $(INSTALLED)
	$(PYTEST) -m "not slow and not browser"

test-slow: $(INSTALLED)
	$(PYTEST) -m "slow and not browser"

test-browser: $(INSTALLED)
	$(PYTEST) -m browser tests/integration/web/page

# The embedded package brings PostgreSQL 16 too. Of another server the folder of its programs, which
# must know pgvector: SERVER=/usr/lib/postgresql/15/bin
SERVER ?= 16
test-servers: $(INSTALLED)
	SPOCDB_TEST_SERVER="$(SERVER)" $(PYTEST) -m servers tests/integration tests/migration

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Links between pages are followed, those to other sites are not: no network is needed.
# Not --quiet: what is not logged is not counted as a warning either.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The wheel is built from the source distribution. An old list of files would be shipped again.
dist: $(INSTALLED)
	rm -rf dist *.egg-info
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*

# The peers are in the extra `bench`, which only measuring needs.
bench: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable ".[bench]"
	$(BIN)/python -m benchmarks --record
	$(BIN)/python -m benchmarks.table

bench-quick: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable ".[bench]"
	$(BIN)/python -m benchmarks --quick

# What only a GPU shows. Without a network: WHEELS=folder, which `make wheels` fills elsewhere.
bench-gpu:
	test -x $(GPU_BIN)/python || $(PYTHON) -m venv --system-site-packages .venv-gpu
	$(GPU_BIN)/python -m pip install $(if $(WHEELS),--no-index --find-links "$(WHEELS)") --editable . pytest
	$(GPU_BIN)/python -m pytest tests/gpu
	$(GPU_BIN)/python -m benchmarks.gpu --record

wheels: $(INSTALLED)
	$(BIN)/python -m benchmarks.wheels "$(or $(WHEELS),build/wheels)"

quality: $(INSTALLED)
	$(BIN)/python -m benchmarks.quality --holidays "$(HOLIDAYS)" --corpus "$(CORPUS)" --train "$(TRAIN)" \
		--weights $(WEIGHTS) $(if $(FOLDER),--folder "$(FOLDER)")

mini: $(INSTALLED)
	$(BIN)/python -m benchmarks.mini $(IMAGES) --squeezenet "$(SQUEEZENET)" --mobilenet "$(MOBILENET)"

snapshot: $(INSTALLED)
	$(BIN)/python -m tests.migration.release "$(VERSION)"

clean:
	rm -rf .venv .venv-gpu .*_cache .hypothesis build dist *.egg-info demo/out
	find . -name __pycache__ -prune -exec rm -rf {} +

# On Linux PyPI has builds with CUDA only. PyTorch's own index is asked where there is no NVIDIA device, and no
# other one beside it, because torch and torchvision of two indexes do not match. If it cannot be reached, the
# next step installs PyPI's builds.
$(TORCH):
	@test "$(PYTHON)" || { echo "no Python 3.11 or newer: make PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test "$$(uname)" != Linux || test -e /dev/nvidiactl || command -v nvidia-smi >/dev/null || \
		PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= PIP_EXTRA_INDEX_URL= \
		$(BIN)/python -m pip install --timeout 10 --retries 0 --index-url "$(CPU_TORCH)" torch torchvision || \
		echo "$(CPU_TORCH) cannot be reached: PyTorch with CUDA is installed, 5 GB"
	touch $@

$(DEMO): pyproject.toml | $(TORCH)
	$(BIN)/python -m pip install --editable ".[demo]"
	touch $@

$(INSTALLED): pyproject.toml | $(TORCH)
	$(BIN)/python -m pip install --editable ".[dev,demo]"
	touch $(DEMO) $@
