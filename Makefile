# make demo   the whole road on real data: train, convert, build, verify, time, report
# make test   the tests, but for those that take minutes, in WORKERS processes (2)
# make test-slow   those that take minutes
# make gpu    on a machine with an NVIDIA GPU: its tests and the benchmark matrix, in gpu-out/
# make lint   style, types, import rules
# make env    the environment alone, in .venv; every recipe uses it
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: env demo test test-slow gpu lint clean

PYTHON ?= python3
OUT ?= demo-out
WORKERS ?= 2

# An NVIDIA driver decides which extras fit the machine.
MACHINE := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
EXTRAS_cpu := train,cpu,rtx,openvino,demo,zarr,dev
EXTRAS_gpu := train,gpu,nvml,rtx,openvino,demo,zarr,dev
CONSTRAINTS := constraints/$(MACHINE).txt
STAMP := .venv/installed-$(MACHINE)

env: $(STAMP)

$(STAMP): pyproject.toml $(CONSTRAINTS) constraints/tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "unetrt needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r constraints/tools.txt
	# TensorFlow takes 12 s to be imported where it must be compiled, and 5 s where it was.
	.venv/bin/python -m uv pip install --quiet --compile-bytecode --python .venv/bin/python -c $(CONSTRAINTS) -e '.[$(EXTRAS_$(MACHINE))]'
ifeq ($(MACHINE),gpu)
	# By pip itself: TensorRT's source package calls pip to fetch its libraries from NVIDIA.
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[tensorrt]'
endif
	@touch $@

demo: env
	.venv/bin/unetrt demo --out $(OUT)

# A worker that has run out of tests takes half of those the other one still has; of the slow ones,
# each file stays with one worker, which builds what its tests share.
test: env
	.venv/bin/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

test-slow: env
	.venv/bin/python -m pytest -n $(WORKERS) --dist loadfile -m slow

gpu: env
	scripts/gpu-proof --out gpu-out

lint: env
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

clean:
	rm -rf .venv build dist *.egg-info $(OUT)
