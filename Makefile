# Every way to build, run and check eyeline. `make` alone lists them.
#
# TORCH=cuda     use libtorch with its CUDA half (4 GB) instead of the slim one for the CPU
# LIBTORCH=DIR   use a libtorch of your own; set-up then leaves it alone
# EYELINE_EVAL_DATA=DIR   make test also runs the tests that need the evaluation material

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup build demo test audit bench lint fmt clean distclean

TORCH ?= cpu
export TORCH
ifeq ($(TORCH),cuda)
export LIBTORCH ?= $(CURDIR)/.eyeline/libtorch-cuda/torch
endif

# rustup puts cargo there; a shell opened before that does not know yet.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
target := $(or $(CARGO_TARGET_DIR),target)

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: system packages, libtorch, default weights, the sample video
	@scripts/setup.sh

build: setup ## build the program, target/release/eyeline
	cargo build --release --locked

demo: build ## detect and track the people in the sample video; outputs: out/demo
	$(target)/release/eyeline run pipelines/demo.yml
	@echo "The outputs lie under out/demo, the video to look at is annotated.mp4"

test: setup ## formatting, clippy and all tests, with a verdict at the end
	@scripts/packages.sh scripts/packages-test.txt
	@scripts/test.sh

audit: ## licences, bans, sources and known advisories of all dependencies
	@scripts/audit.sh

bench: setup ## all benchmarks
	cargo bench --locked

lint: setup ## formatting, clippy, shell scripts, the compose file
	@scripts/lint.sh

fmt: ## format the code
	cargo fmt

clean: ## remove what was built and the outputs of the demo
	cargo clean
	rm -rf out

distclean: clean ## also remove what set-up installed under .eyeline
	rm -rf .eyeline
