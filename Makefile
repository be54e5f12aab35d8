# smolchat: `make` lists what can be made.

CARGO   ?= cargo
PREFIX  ?= /usr/local
DESTDIR ?=
ARGS    ?=

# What `make bench-peers` compares with.
PEERS = redis-server ngircd mosquitto nats-server

.DEFAULT_GOAL := help
.PHONY: help build run-server run-client test check audit bench bench-peers install uninstall clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build both programs for use, in target/release
	$(CARGO) build --release --locked

run-server: build ## run the server; ARGS='--listen 127.0.0.1:0' passes options on
	./target/release/smolchatd $(ARGS)

run-client: build ## run the client; ARGS='--name alice' passes options on
	./target/release/smolchat $(ARGS)

test: ## run all tests
	$(CARGO) test --locked

check: ## formatting, lints and documentation, warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps

audit: ## compare all crates and their licences with what was agreed to
	@CARGO='$(CARGO)' tests/audit.sh

bench: ## measure the cost of a delivery, beside two yardsticks; ARGS='--work flood'
	$(CARGO) bench --locked --bench fanout -- $(ARGS)

bench-peers: ## the same beside other servers; installs them where it may (Debian, as root)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(PEERS) \
	    || { apt-get update && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(PEERS); }; \
	fi
	$(CARGO) bench --locked --bench fanout -- --peers $(ARGS)

install: build ## install both programs below $(DESTDIR)$(PREFIX)
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 755 target/release/smolchatd target/release/smolchat '$(DESTDIR)$(PREFIX)/bin'

uninstall: ## remove them again
	rm -f '$(DESTDIR)$(PREFIX)/bin/smolchatd' '$(DESTDIR)$(PREFIX)/bin/smolchat'

clean: ## remove what was built
	$(CARGO) clean
