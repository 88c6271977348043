# Each target sets up what it lacks: system packages (scripts/setup.sh), npm packages, the built frontend.
#   make run      build for use and open the window        make check    formats, lints, types, bindings
#   make test     every test there is                      make bench    the speed table of the design
#   make release  target/release/{lamp,lamplight}          make package  a .deb in target/release/bundle/deb

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := run
.PHONY: run test check bench release package setup-build setup-test \
  test-rust test-frontend test-browser test-window test-otlp check-rust check-frontend check-bindings bindings

# Where scripts/setup.sh puts a Node that is new enough, on a machine whose own is not.
export PATH := $(CURDIR)/target/tools/node_modules/.bin:$(PATH)

run: release
	exec target/release/lamplight

release: setup-build frontend/dist/index.html
	cargo build --release -p lamplight -p lamplight-cli

# cargo test comes last, so that its summary is what a long run ends with.
test: test-frontend test-browser test-window test-otlp test-rust

check: check-rust check-frontend check-bindings

bench: release
	cargo build --release -p lamplight --features bench --bin bare-window
	tests/bench/run

package: release
	npx --yes @tauri-apps/cli@2 bundle --bundles deb

# --- set-up ---

setup-build:
	@scripts/setup.sh build

setup-test:
	@scripts/setup.sh test

# npm writes this file last, and only when everything is in place.
frontend/node_modules/.package-lock.json: frontend/package-lock.json
	cd frontend && npm ci --no-audit --no-fund
	touch $@

tests/otlp/node_modules/.package-lock.json: tests/otlp/package-lock.json
	cd tests/otlp && npm ci --no-audit --no-fund
	touch $@

# The exact files, by their hashes, and no code of theirs runs while they are installed.
target/otlp-venv/pyvenv.cfg: tests/otlp/requirements.txt
	python3 -m venv --clear target/otlp-venv
	target/otlp-venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	touch $@

frontend_sources := $(shell find frontend/src frontend/public -type f 2>/dev/null) \
  $(wildcard frontend/*.html frontend/*.json frontend/*.ts frontend/*.js)
frontend/dist/index.html: frontend/node_modules/.package-lock.json $(frontend_sources)
	cd frontend && npm run build
	touch $@

# --- tests ---

# Built as a whole every time: cargo picks features by what is built together, and would build twice otherwise.
test-rust: setup-test frontend/dist/index.html
	cargo test --workspace

test-frontend: setup-test frontend/node_modules/.package-lock.json
	cd frontend && npm run test

test-browser: setup-test frontend/dist/index.html
	cargo build --workspace
	cd frontend && npm run e2e && npm run e2e:real

test-window: setup-test frontend/dist/index.html
	cargo build --workspace
	tests/window/run

# OpenTelemetry's own SDKs and exporters against the real receiver, and what strangers can do to it from a browser.
test-otlp: setup-test frontend/dist/index.html target/otlp-venv/pyvenv.cfg tests/otlp/node_modules/.package-lock.json
	cargo build --workspace
	tests/otlp/run

# --- checks ---

check-rust: setup-test frontend/dist/index.html
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

check-frontend: setup-test frontend/node_modules/.package-lock.json
	cd frontend && npm run check && npm run lint

# The types of the contract, as the frontend knows them, are those of the model.
check-bindings: setup-test
	scripts/bindings.sh --check

bindings:
	scripts/bindings.sh
