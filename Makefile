# `make demo` shows Gatepost in front of a real Django project; `make test` runs every test. Both
# install what is missing (see scripts/), so a fresh clone on Debian needs nothing but make.
#
#   make demo              https://localhost:8443/ with gunicorn and the frontend's files
#   make demo DEV=1        the same with runserver, a Vite dev server and its HMR
#   make demo PORT=9443    on another port (HTTP_PORT=9080 for the redirect to https)

# Node.js where scripts/install-node.sh had to bring its own.
export PATH := $(CURDIR)/.tools/bin:$(PATH)

# What is released is what is tested; `lint` also looks at the program without it.
FEATURES = --features gatepost/otel

SIDE_BY_SIDE = MAKE="$(MAKE)" scripts/side-by-side

.DEFAULT_GOAL := test
.NOTPARALLEL:
.PHONY: demo test suites compiled installed fmt fmt-check lint deny unit it python e2e conformance picture bench fuzz \
	fuzz-beside doc build wheel rust

demo: rust
	@scripts/install-python.sh
	@$(if $(DEV),scripts/install-node.sh)
	@exec python3 demo/run.py $(if $(DEV),--dev) \
		$(if $(PORT),--port $(PORT)) $(if $(HTTP_PORT),--http-port $(HTTP_PORT))

# Programs and packages come while the compiler works on both cores; the fuzzing has what the tests leave of one.
test: fmt-check
	@$(SIDE_BY_SIDE) "lint deny doc compiled" installed
	@$(SIDE_BY_SIDE) suites fuzz-beside
	@echo "all green"

# Rust's and the package's tests mostly wait, for time to pass and for programs. Browsers need both cores.
suites:
	@$(SIDE_BY_SIDE) "unit it" python
	@$(MAKE) --no-print-directory e2e

# All that the tests need, so that none of them waits for cargo's lock.
compiled: build
	cargo test --locked $(FEATURES) --no-run
	fuzz/run --no-run

installed:
	@scripts/install-faketime.sh
	e2e/install
	python/run-tests --environments

# At the lowest priority: tests come first, and pass on a machine that is busy.
fuzz-beside:
	@nice -n 19 $(MAKE) --no-print-directory fuzz JOBS=1

fmt: rust
	cargo fmt --all

fmt-check: rust
	cargo fmt --all --check

# Debian's own Rust comes without clippy; everywhere else, and wherever CI is set, it must be there.
lint: rust
	$(if $(or $(CI),$(shell command -v cargo-clippy)),\
	cargo clippy --locked --workspace --all-targets $(FEATURES) -- -D warnings,\
	@echo "this Rust has no clippy: its lints are not checked here")
	cargo check --locked

# Licences, bans and sources, as deny.toml says. Installing it (cargo install cargo-deny) takes minutes.
deny: rust
	$(if $(shell command -v cargo-deny),\
	cargo deny --locked check --hide-inclusion-graph licenses bans sources,\
	@echo "cargo-deny is not installed: licences and bans of dependencies are not checked here")

unit: rust
	cargo test --locked $(FEATURES) --lib --bins

it: rust
	@scripts/install-faketime.sh
	@scripts/install-certutil.sh
	@scripts/install-pebble.sh
	cargo test --locked $(FEATURES) --test '*'

# Its tests run the gateway too, behind Django's live server.
python: build
	@scripts/install-python.sh
	python/run-lint
	python/run-tests

e2e: build
	e2e/run-tests

conformance: build
	e2e/run-tests test_conformance.py

# docs/images/demo.png, from the real demo.
picture: build
	e2e/take-picture

bench: rust
	bench/run

# All parsers, a minute each (SECONDS_EACH), two at a time; `fuzz/run cookies` runs one target.
fuzz: rust
	fuzz/run

doc: rust
	RUSTDOCFLAGS="-D warnings" cargo doc --locked $(FEATURES) --no-deps

build: rust
	cargo build --locked $(FEATURES)

# For this platform and every Python: the Django package and the gateway in one file, in python/dist/.
wheel: rust
	@scripts/install-python.sh
	python/build-wheel --release --features jemalloc,otel --out dist

rust:
	@scripts/install-rust.sh
