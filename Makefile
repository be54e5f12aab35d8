# smolchat: `make` lists what can be made.

CARGO   ?= cargo
PREFIX  ?= /usr/local
DESTDIR ?=
ARGS    ?=

.DEFAULT_GOAL := help
.PHONY: help build run-server run-client test check install uninstall clean

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

install: build ## install both programs below $(DESTDIR)$(PREFIX)
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 755 target/release/smolchatd target/release/smolchat '$(DESTDIR)$(PREFIX)/bin'

uninstall: ## remove them again
	rm -f '$(DESTDIR)$(PREFIX)/bin/smolchatd' '$(DESTDIR)$(PREFIX)/bin/smolchat'

clean: ## remove what was built
	$(CARGO) clean
