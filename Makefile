# `make` lists the targets.

CARGO   ?= cargo
NIGHTLY ?= $(CARGO) +nightly
PREFIX  ?= /usr/local
DESTDIR ?=
ARGS    ?=
MINUTES ?= 10
SEED    ?=
MEMBERS ?=
# The nodes of the cluster that `make soak` runs, and its NATS servers: 1 or 3.
CLUSTER ?=
NATS    ?=
# The folder of the programs that cargo builds.
RELEASE  = $(or $(CARGO_TARGET_DIR),target)/release
# The folder of the programs that `make install` installs, and the client that prints the manual pages
# and completions: one that runs on this machine, also if the programs in BIN are for another one.
BIN     ?= $(RELEASE)
CLIENT  ?= $(RELEASE)/smolchat

# Folders below the prefix.
ROOT = $(DESTDIR)$(PREFIX)
MAN  = share/man/man1
BASH = share/bash-completion/completions
ZSH  = share/zsh/site-functions
FISH = share/fish/vendor_completions.d
UNIT = lib/systemd/system

# The seconds that `make fuzz` runs each target, and the target (default: all). No sanitizer: the crate
# has no unsafe code, and without one the fuzzer tries twice as many inputs.
SECS    ?= 60
TARGET  ?=
FUZZERS  = $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))
FUZZ     = PATH="$(CURDIR)/target/tools/bin:$$PATH" $(NIGHTLY) fuzz
# Cargo features: `editor` is the line editor of the client, `irc` lets IRC clients join, `web` lets
# browsers join. FEATURES= builds both programs without.
FEATURES ?= editor irc web
# The server alone needs none of the crates of the client's line editor.
SERVER_FEATURES = $(filter-out editor,$(FEATURES))

# The targets of `make footprint`, and the architecture of this machine, where the servers run.
TARGETS ?= $(shell deploy/dist.sh targets)
MACHINE  = $(shell uname -m)

# The servers that `make bench-peers` compares with.
PEERS = redis-server ngircd mosquitto nats-server stunnel4
# The WebSocket library of Node that one of them uses.
WS    = ws@8.23.0

.DEFAULT_GOAL := help
.PHONY: help build run-server run-client run-cluster test test-slow test-web test-irc test-tls test-cluster check audit fuzz picture bench bench-peers bench-cluster soak footprint footprint-check dist dist-all dist-deps test-cross test-packages install install-files uninstall clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build both programs in target/release
	$(CARGO) build --release --locked --no-default-features --features '$(FEATURES)'

run-server: ## run the server; options: ARGS='--listen 127.0.0.1:8080'
	$(CARGO) build --release --locked --no-default-features --features '$(SERVER_FEATURES)' --bin smolchatd
	$(RELEASE)/smolchatd $(ARGS)

run-client: ## run the client; options: ARGS='--name alice'
	$(CARGO) build --release --locked --no-default-features --features '$(FEATURES)' --bin smolchat
	$(RELEASE)/smolchat $(ARGS)

run-cluster: ## run three NATS servers and three nodes of one room; options: ARGS='--log debug'
	$(CARGO) build --release --locked --no-default-features --features '$(SERVER_FEATURES) cluster' --bin smolchatd
	@SMOLCHATD=$(RELEASE)/smolchatd deploy/cluster/run.sh $(ARGS)

test: ## run all tests except the slow ones, with the default features and with all
	$(CARGO) test --locked
	$(CARGO) test --locked --all-features

test-slow: ## run the slow tests
	$(CARGO) test --locked --test it -- --ignored --skip picture:: --skip browser:: --skip irc_clients:: --skip tls_programs::

check: ## check formatting, lints and documentation; warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features -- -D warnings
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --no-default-features
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --all-features
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml

audit: ## compare all crates and their licences with tests/audit.list
	@CARGO='$(CARGO)' tests/audit.sh

fuzz: ## fuzz each target for SECS=60; one target: TARGET=line_reader
	@$(NIGHTLY) --version >/dev/null 2>&1 || { echo 'fuzzing needs a nightly compiler:' \
	    'rustup toolchain install nightly' >&2; exit 1; }
	@test -x target/tools/bin/cargo-fuzz || \
	    $(CARGO) install cargo-fuzz --version 0.13.2 --locked --root target/tools
	@for target in $(or $(TARGET),$(FUZZERS)); do \
	    echo "fuzzing $$target for $(SECS) s" && mkdir -p fuzz/corpus/$$target && \
	    $(FUZZ) run --sanitizer none --target-dir target/fuzz $$target fuzz/corpus/$$target \
	        $$(ls -d tests/it/fuzz/seeds/$$target tests/it/fuzz/regressions/$$target 2>/dev/null) -- \
	        -max_total_time=$(SECS) -dict=fuzz/protocol.dict -rss_limit_mb=256 \
	        -print_final_stats=1 || exit; \
	done

test-web: ## test the page in Chromium and Firefox; installs them (Debian, as root)
	@CARGO='$(CARGO)' tests/web.sh

test-irc: ## test the room with six IRC clients; installs them (Debian, as root)
	@CARGO='$(CARGO)' tests/irc.sh

test-tls: ## test TLS with eight programs, and scan it; installs them (Debian, as root)
	@CARGO='$(CARGO)' tests/tls.sh

test-cluster: ## test several servers with one room on NATS servers; installs nats-server (Debian, as root)
	@CARGO='$(CARGO)' tests/cluster.sh

picture: ## draw the pictures in docs/ from a real client and a real browser
	@tests/web.sh deps
	$(CARGO) test --locked --test it -- --ignored picture::

bench: ## measure the cost of a delivery, beside two reference servers; ARGS='--work flood'
	$(CARGO) bench --locked --features tls --bench fanout -- $(ARGS)

bench-peers: ## the same beside other chat servers; installs them (Debian, as root; ws with npm)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(PEERS) \
	    || { apt-get update && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(PEERS); }; \
	fi
	@if command -v npm >/dev/null; then \
	    npm install --prefix target/peers --no-save --no-audit --no-fund $(WS) || true; \
	fi
	$(CARGO) bench --locked --features tls --bench fanout -- --peers $(ARGS)

bench-cluster: ## measure rooms on several nodes beside a single one; installs nats-server (Debian, as root)
	@tests/cluster.sh deps
	$(CARGO) bench --locked --features cluster --bench cluster -- $(ARGS)

soak: ## run hundreds of members for MINUTES=10 and check every promise; SEED=N, MEMBERS=300, CLUSTER=3, NATS=3
	$(if $(CLUSTER),@CARGO='$(CARGO)' tests/cluster.sh deps)
	$(CARGO) bench --locked $(if $(CLUSTER),--features cluster) --bench soak -- --minutes $(MINUTES) \
	    $(if $(SEED),--seed $(SEED)) $(if $(MEMBERS),--members $(MEMBERS)) \
	    $(if $(CLUSTER),--cluster $(CLUSTER)) $(if $(NATS),--nats $(NATS))

footprint: ## build for all TARGETS, measure size, memory and wake-ups, and write the tables
	@export CARGO='$(CARGO)' WAY=zig; for target in $(TARGETS); do \
	    FEATURES='$(FEATURES)' deploy/dist.sh build $$target && \
	    FLAVOUR=minimal FEATURES= deploy/dist.sh build $$target smolchatd && \
	    FLAVOUR=tls FEATURES='$(FEATURES) tls' deploy/dist.sh build $$target smolchatd || exit; \
	done
	$(CARGO) build --release --locked --no-default-features --features '$(SERVER_FEATURES)' --bin smolchatd
	$(CARGO) bench --locked --bench footprint -- --dist target/dist --page docs/deploy.md \
	    --run static=target/dist/$(MACHINE)/smolchatd --run glibc=$(RELEASE)/smolchatd

# Removes the target that it adds: with it, `make dist` would use the ready-made standard library.
footprint-check: ## compare the documented figures, and those of new builds, with their limits
	@export CARGO='$(CARGO)' WAY=plain; musl=$(MACHINE)-unknown-linux-musl; dir=target/dist/$(MACHINE); \
	if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx $$musl; then \
	    trap "rustup target remove $$musl" EXIT; \
	    rustup target add $$musl; \
	fi; \
	if FEATURES='$(FEATURES)' deploy/dist.sh build $(MACHINE) smolchatd; then \
	    FLAVOUR=minimal FEATURES= deploy/dist.sh build $(MACHINE) smolchatd && \
	    FLAVOUR=tls FEATURES='$(FEATURES) tls' deploy/dist.sh build $(MACHINE) smolchatd || exit; \
	    set -- --run plain=$$dir/smolchatd --minimal plain=$$dir-minimal/smolchatd \
	        --tls plain=$$dir-tls/smolchatd; \
	else \
	    echo 'footprint: no tools for a static server; measuring the one with glibc' && \
	    $(CARGO) build --release --locked --no-default-features \
	        --features '$(SERVER_FEATURES)' --bin smolchatd && \
	    set -- --run glibc=$(RELEASE)/smolchatd; \
	fi && $(CARGO) bench --locked --bench footprint -- "$$@"

# A second tarball has TLS, unless FEATURES was given.
dist: ## build static tarballs and packages for TARGET=x86_64, aarch64, armv7, arm, riscv64gc, mipsel or mips
	@export CARGO='$(CARGO)' FEATURES='$(FEATURES)'; \
	deploy/dist.sh build '$(TARGET)' && deploy/package.sh '$(TARGET)'
ifeq ($(origin FEATURES),file)
	@export CARGO='$(CARGO)' FEATURES='$(FEATURES) tls' FLAVOUR=tls; \
	deploy/dist.sh build '$(TARGET)' && deploy/package.sh '$(TARGET)'
endif

dist-all: ## build the tarballs and packages for all targets
	@for target in $$(deploy/dist.sh targets); do \
	    $(MAKE) --no-print-directory dist TARGET=$$target || exit; \
	done

dist-deps: ## install the tools for `make dist` and `make test-cross` (Debian 12, as root)
	@deploy/dist.sh deps

test-cross: ## run the tests against the static builds, under qemu-user; one target: TARGET=armv7
	@CARGO='$(CARGO)' tests/cross.sh $(TARGET)

test-packages: ## build and install the packages of this machine (Debian, as root)
	@CARGO='$(CARGO)' tests/packages.sh

install: build ## install programs, manual pages, completions and systemd units below $(DESTDIR)$(PREFIX)
	@$(MAKE) --no-print-directory install-files

# The path of the program in the unit is the installed one.
install-files:
	umask 022 && \
	mkdir -p '$(ROOT)/bin' '$(ROOT)/$(MAN)' '$(ROOT)/$(BASH)' '$(ROOT)/$(ZSH)' '$(ROOT)/$(FISH)' \
	    '$(ROOT)/$(UNIT)' && \
	$(CLIENT) --manual smolchatd >'$(ROOT)/$(MAN)/smolchatd.1' && \
	$(CLIENT) --manual smolchat >'$(ROOT)/$(MAN)/smolchat.1' && \
	$(CLIENT) --completions bash >'$(ROOT)/$(BASH)/smolchat' && \
	$(CLIENT) --completions zsh >'$(ROOT)/$(ZSH)/_smolchat' && \
	$(CLIENT) --completions fish >'$(ROOT)/$(FISH)/smolchat.fish' && \
	sed 's|/usr/bin/|$(PREFIX)/bin/|' deploy/smolchatd.service >'$(ROOT)/$(UNIT)/smolchatd.service'
	install -m 644 deploy/smolchatd.socket '$(ROOT)/$(UNIT)'
	install -m 755 '$(BIN)/smolchatd' '$(BIN)/smolchat' '$(ROOT)/bin'

uninstall: ## remove the installed files
	rm -f '$(ROOT)/bin/smolchatd' '$(ROOT)/bin/smolchat'
	rm -f '$(ROOT)/$(MAN)/smolchatd.1' '$(ROOT)/$(MAN)/smolchat.1'
	rm -f '$(ROOT)/$(BASH)/smolchat' '$(ROOT)/$(ZSH)/_smolchat' '$(ROOT)/$(FISH)/smolchat.fish'
	rm -f '$(ROOT)/$(UNIT)/smolchatd.service' '$(ROOT)/$(UNIT)/smolchatd.socket'

clean: ## remove the build output
	$(CARGO) clean
