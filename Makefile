# `make help` lists what there is to make. A ZTS PHP is built first when there is none (php-src-build/).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: help build run test bench pgo clean packages test-packages php fmt clippy cargo-test models shell-lint php-lint php-refusals headers memory

# Where `make run` serves the demo.
LISTEN ?= 127.0.0.1:8080

# Names the PHP to cargo: the user's, or the one of php-src-build. It is looked up by each recipe, not
# by the Makefile, so that `make help` and `make clean` build nothing.
with_php = prefix=$$(php-src-build/build.sh) && export TROUPE_PHP_CONFIG=$$(realpath -s "$${TROUPE_PHP_CONFIG:-$$prefix/bin/php-config}") &&

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

build: packages ## build target/release/troupe, and first PHP when need be
	@$(with_php) cargo build --release --workspace

run: build ## serve examples/demo; LISTEN=host:port to listen elsewhere
	target/release/troupe php-server --root examples/demo/public --listen $(LISTEN)

test: fmt shell-lint clippy cargo-test memory models php-lint php-refusals headers ## check and test everything

bench: build ## compare with nginx + php-fpm and a bare actix-web; writes docs/benchmarks.md
	@$(with_php) tests/bench/run

pgo: packages ## build the server by a profile of itself at work, a tenth faster; prints where it is
	@$(with_php) tests/bench/pgo

clean: ## remove what cargo built; the PHP stays in its cache
	cargo clean

packages: ## install the system packages that are missing
	@php-src-build/packages.sh php-src-build/packages.debian

test-packages:
	@php-src-build/packages.sh php-src-build/packages.debian php-src-build/packages-test.debian

php: packages ## make sure that there is a PHP to build against, print where
	@php-src-build/build.sh

fmt:
	cargo fmt --all -- --check -l

# All in release mode: what is tested is what is shipped, and the dependencies are compiled once.
clippy: packages
	@$(with_php) cargo clippy --release --workspace --all-targets -- -D warnings

# The end-to-end tests start the binary, which `cargo test` alone does not link.
cargo-test: build test-packages
	@php-src-build/build.sh --tests >/dev/null
	@$(with_php) cargo test --release --workspace --no-fail-fast

# The request cycle under valgrind.
memory: test-packages
	@$(with_php) tests/memory.sh && tests/memory-tasks.sh

# The ports between threads, in every order that the memory model allows; a folder of their own, since the flag
# would have everything compiled anew.
models: packages
	@$(with_php) RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/loom" \
	  cargo test --release --package troupe-sapi --lib models

shell-lint: test-packages
	find . -path ./target -prune -o \( -name '*.sh' -o -path './.ci/run' -o -path './tests/bench/run' -o -path './tests/bench/run-tasks' -o -path './tests/bench/pgo' \) -print0 | \
	  xargs -0 shellcheck -x

# Scripts that are meant to be broken are named *syntax-error*.php.
php-lint: packages
	@$(with_php) find . -path ./target -prune -o -name '*.php' ! -name '*syntax-error*' -print0 | \
	  xargs -0 -r -n 1 -P "$$(nproc)" sh -c '"$$0" -n -d display_errors=stderr -l "$$1" >/dev/null || exit 1' "$$("$$TROUPE_PHP_CONFIG" --php-binary)"

# What php-src-build must not take for a PHP.
php-refusals: packages
	tests/php-src-build.sh

headers: packages
	tests/shim-headers.sh
