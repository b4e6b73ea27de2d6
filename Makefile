# Berth. `make demo` and `make test` do all the set-up they need on a fresh Debian or Ubuntu machine
# that has the Rust toolchain.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# apt-get needs root; a machine where this is root has no sudo.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
APT := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get
# The one browser that is always looked for, whatever it is called there.
CHROMIUM := $(wildcard /usr/lib/chromium/chromium-headless-shell /usr/bin/chromium-headless-shell \
              /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome)
VENV := target/clients/python
PROTOS := $(wildcard proto/berth/v1/*.proto)

.PHONY: help demo serve test lint deny fuzz bench bench-mcp soak clients chromium toolchain clean

help:
	@echo "make demo    lease a browser, drive it, fetch pages, leave nothing behind"
	@echo "make serve   run the service (FLAGS='--max-browsers 8' PROFILE=--release …)"
	@echo "make test    every test, with real browsers and real clients"
	@echo "make lint    formatting, clippy, documentation and dependencies, as CI has them"
	@echo "make fuzz    every fuzz target for a minute (SECONDS_EACH=10 TARGETS='frames html' …)"
	@echo "make soak    ten minutes of load with faults, and a report (DURATION=2m FLAGS='--seed 7' …)"
	@echo "make bench   the measured targets, as ratios within one run"
	@echo "make bench-mcp  the MCP server beside Playwright's"

# What `demo`, `serve` and `soak` run, a debug build: one build for all first steps. `PROFILE=--release` for
# figures that count. A program that is there already is taken by RUN=target/debug/berth.
RUN ?= cargo run --locked --quiet $(PROFILE) --

demo: chromium toolchain
	$(RUN) demo

serve: chromium toolchain
	$(RUN) serve $(FLAGS)

test: chromium toolchain clients
	cargo test --locked

lint: toolchain
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo check --locked --manifest-path fuzz/Cargo.toml --target-dir target
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	$(MAKE) deny

# Licences, doubles and sources. Without advisories: see deny.toml.
deny: target/tools.stamp
	target/tools/bin/cargo-deny --locked check licenses bans sources

# libFuzzer on the stable toolchain: what it needs of the compiler is coverage, no sanitizer, as no code
# of ours is unsafe. What is found lies in target/fuzz/found, and what grows of the seeds beside it.
TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
SECONDS_EACH ?= 60
COVERAGE := -Cpasses=sancov-module -Ccodegen-units=1 $(addprefix -Cllvm-args=-sanitizer-coverage-, \
              level=4 inline-8bit-counters pc-table trace-compares)
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')

fuzz: toolchain
	@command -v c++ >/dev/null || { $(APT) update -qq; $(APT) install -y -qq build-essential; }
	RUSTFLAGS='$(COVERAGE)' cargo build --locked --manifest-path fuzz/Cargo.toml --profile fuzz \
	  --target $(HOST) --target-dir target/fuzz --bins
	@mkdir -p $(foreach target,$(TARGETS),target/fuzz/grown/$(target)) target/fuzz/found
	@for target in $(TARGETS); do echo "fuzz: $$target"; \
	  target/fuzz/$(HOST)/fuzz/$$target -max_total_time=$(SECONDS_EACH) -timeout=10 -rss_limit_mb=2048 \
	    -max_len=65536 -print_final_stats=1 -verbosity=0 -artifact_prefix=target/fuzz/found/$$target- \
	    target/fuzz/grown/$$target fuzz/seeds/$$target; done

bench: chromium toolchain
	cargo bench --locked

# The MCP server beside Playwright's, on the same pages: latency and size. PAGES names more of the corpus.
PAGES ?= static-link-list,register-form,next-pages-ssr
bench-mcp: chromium toolchain npm
	@test -x /usr/bin/chromium || { $(APT) update -qq; $(APT) install -y -qq --no-install-recommends chromium; }
	npm ci --prefix benches/mcp --no-audit --no-fund --ignore-scripts
	cargo build --locked --release
	cd benches/mcp && PAGES=$(PAGES) node compare.mjs ../../target/release/berth /usr/bin/chromium $(TURNS)

DURATION ?= 10m
soak: chromium toolchain
	$(RUN) soak --duration $(DURATION) --dir target/soak --fresh $(FLAGS)

# The browser. Debian has the small, fast headless shell; where it is missing, Chromium will do.
chromium:
ifeq ($(CHROMIUM),)
	@echo "installing Chromium"
	$(APT) update -qq
	$(APT) install -y -qq --no-install-recommends chromium-headless-shell \
	  || $(APT) install -y -qq --no-install-recommends chromium \
	  || $(APT) install -y -qq --no-install-recommends chromium-browser
endif
# The jail around it.
ifeq ($(shell command -v bwrap),)
	@echo "installing bubblewrap"
	$(APT) update -qq
	$(APT) install -y -qq --no-install-recommends bubblewrap
endif

# What native crates are built with.
toolchain:
	@command -v cargo >/dev/null || { echo "the Rust toolchain is missing: install it first" >&2; exit 1; }
	@command -v cc >/dev/null || { $(APT) update -qq; $(APT) install -y -qq build-essential; }

# Clients in other languages, which the tests drive, and the examples of docs/examples.
clients: $(addprefix target/clients/,node.stamp node-examples.stamp python.stamp go/title java/classpath)

NPM_CI := npm ci --no-audit --no-fund

target/clients/node.stamp: tests/clients/node/package.json tests/clients/node/package-lock.json | npm
	$(NPM_CI) --prefix tests/clients/node
	@mkdir -p $(@D) && touch $@

target/clients/node-examples.stamp: $(wildcard docs/examples/node/*.js*) $(PROTOS) | npm
	$(NPM_CI) --prefix docs/examples/node
	@mkdir -p $(@D) && touch $@

# The package has the stubs.
PACKAGE := docs/examples/python
target/clients/python.stamp: tests/clients/python/requirements.txt $(wildcard $(PACKAGE)/*.* $(PACKAGE)/src/berth/*.py) $(PROTOS)
	@python3 -c 'import venv, ensurepip' 2>/dev/null || { $(APT) update -qq; $(APT) install -y -qq python3-venv; }
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/clients/python/requirements.txt ./$(PACKAGE)
	@touch $@

target/clients/go/title: $(wildcard docs/examples/go/*) $(PROTOS) | protoc
	@test -d /usr/share/gocode/src/google.golang.org/grpc && command -v go protoc-gen-go-grpc >/dev/null \
	  || { $(APT) update -qq; $(APT) install -y -qq --no-install-recommends golang-go golang-google-grpc-dev \
	       golang-github-golang-protobuf-1-5-dev protoc-gen-go protoc-gen-go-grpc; }
	@mkdir -p $(@D)
	docs/examples/go/build.sh $@

target/clients/java/classpath: $(wildcard docs/examples/java/*) $(PROTOS) | protoc
	@test -e /usr/share/java/grpc-netty.jar -a -e /usr/share/java/netty-codec-http2.jar \
	   -a -e /usr/share/java/perfmark-api.jar && command -v javac grpc_java_plugin >/dev/null \
	  || { $(APT) update -qq; $(APT) install -y -qq --no-install-recommends default-jdk-headless libgrpc-java \
	       protobuf-compiler-grpc-java-plugin libnetty-java libperfmark-java libprotobuf-java libguava-java; }
	docs/examples/java/build.sh $(@D)

.PHONY: npm protoc
npm:
	@command -v npm >/dev/null || { $(APT) update -qq; $(APT) install -y -qq nodejs npm; }

protoc:
	@command -v protoc >/dev/null && test -e /usr/include/google/protobuf/any.proto \
	  || { $(APT) update -qq; $(APT) install -y -qq --no-install-recommends protobuf-compiler libprotobuf-dev; }

# Tools that are no part of the toolchain.
target/tools.stamp: .ci/tools.txt
	@python3 -c 'import venv, ensurepip' 2>/dev/null || { $(APT) update -qq; $(APT) install -y -qq python3-venv; }
	python3 -m venv target/tools
	target/tools/bin/pip install --quiet --disable-pip-version-check -r .ci/tools.txt
	@touch $@

clean:
	cargo clean
	rm -rf tests/clients/node/node_modules
