# Every line here is one that you could type yourself.
.PHONY: run build test features foreign sim kill clients fuzz bench size lint doc install

# Where `make install` puts things; DESTDIR goes before all of it.
PREFIX ?= /usr/local

# What it puts there, and what builds that; whoever has built it already sets BINARY to it and BUILD to nothing.
BINARY ?= target/release/hythe
BUILD ?= build

# Seconds each fuzz target runs, and which ones.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= $$(cargo fuzz list)
FUZZ_FLAGS ?=

run:
	cargo run --release -- serve

build:
	cargo build --release --bin hythe
	ls -l target/release/hythe

# The binary, its man page, completions for three shells, and the unit where there is systemd.
install: $(BUILD)
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/hythe
	install -D -m 644 packaging/hythe.1 $(DESTDIR)$(PREFIX)/share/man/man1/hythe.1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d $(DESTDIR)$(PREFIX)/lib/systemd/system
	$(BINARY) completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/hythe
	$(BINARY) completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_hythe
	$(BINARY) completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/hythe.fish
	sed 's|/usr/local/bin|$(PREFIX)/bin|' packaging/hythe.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/hythe.service
	install -m 644 packaging/hythe.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/hythe.socket
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/hythe.service

# The pages are tested in Chromium where that, node and npm are; what is missing is told. HYTHE_BROWSER=must makes it a failure.
test:
	cargo test --workspace --no-fail-fast

# Without any feature, with each alone, without each, and the pairs that share code: all of them build, their tests and examples too,
# without a warning. What stands on a feature is built where it is. The tests that need none then run without any.
FEATURES = "" accounts chat client compress files tls ui \
	chat,client,compress,files,tls,ui accounts,client,compress,files,tls,ui accounts,chat,compress,files,tls,ui \
	accounts,chat,client,files,tls,ui accounts,chat,client,compress,tls,ui accounts,chat,client,compress,files,ui \
	accounts,chat,client,compress,files,tls \
	accounts,chat accounts,files chat,files chat,ui files,ui accounts,ui

features:
	for set in $(FEATURES); do \
		echo "-- features: $$set" && cargo clippy --quiet --all-targets --no-default-features --features "$$set" -- -D warnings || exit 1; \
	done
	cargo test --no-default-features

# The examples as programs of somebody else's: each in a crate outside of this workspace, with the features it needs, built, run, asked.
foreign:
	tests/foreign/run

# The whole server in a simulated world. SEED=n replays one story.
sim:
	cargo test --test sim -- --nocapture

# Uploads, changes and removals, and then accounts, sessions and passwords, from several clients while the server is killed at
# random, so many times each.
KILLS ?= 200
kill:
	KILLS=$(KILLS) cargo test --test uploads killed -- --nocapture
	KILLS=$(KILLS) cargo test --test accounts killed -- --nocapture

# Other people's clients (curl, wget, aria2c, a browser, tus-js-client; ws, websockets), and the Autobahn TestSuite, against a real
# server. What is not there is skipped.
clients:
	cargo build --bins --examples
	tests/clients/run target/debug/hythe
	tests/clients/chat/run target/debug/hythe
	tests/clients/tls/run target/debug/hythe

# Needs `cargo install cargo-fuzz`. No sanitizer: our code is safe Rust, and so a stable compiler will do. What is found on
# the way is kept in fuzz/corpus, which is not committed; fuzz/seeds is what each target begins with.
fuzz:
	for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) $(FUZZ_FLAGS) || exit 1; \
	done

bench:
	cargo run --release --package hythe-bench
	cargo run --release --package hythe-bench --bin chat

# Bare, with each feature alone, and with all: nine release builds.
size:
	bench/size

lint:
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --manifest-path fuzz/Cargo.toml -- -D warnings
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps --document-private-items
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features

doc:
	cargo doc --no-deps --document-private-items --open
