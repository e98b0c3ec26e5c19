# Two commands: `make drill` shows it at work for real, `make test` checks everything that CI checks.
SHELL := /bin/bash
.PHONY: drill stack images opensearch search bench chaos kills sim test tools build services lint unit stories editor fmt schemas

test: tools lint unit sim stories kills editor ## Everything that CI checks

tools: ## nats-server and Alertmanager into .tools/bin, without root
	@scripts/tools.sh

# With real OpenSearch: make drill SEARCH=real
SEARCH ?= stand-in
REPORT ?= drill.html
drill: tools $(if $(filter real,$(SEARCH)),opensearch) ## Breaks a small service, then a search cluster, for real, and shows how they are repaired
	cargo build --locked -p regreen-cli -p regreen-simcloud
	cargo run --quiet --locked -p regreen-cli -- drill hello
	cargo run --quiet --locked -p regreen-cli -- drill elasticsearch-node-lost --search $(SEARCH) --report $(REPORT)

# As root, or with a Docker daemon running. No image is pulled: those of compose.yaml are made from this machine's programs.
stack: tools ## All of compose.yaml as real containers: brought up, broken, repaired from metric to proof, taken down
	cargo build --locked -p regreen-cli -p regreen-simcloud -p regreen-ingest -p regreen-probe -p regreen-engine -p regreen-runner -p regreen-notifier
	tests/compose/stack.sh

images: ## The images of all services, by the Dockerfile: regreen/engine:0.1.0 and so on
	docker compose --profile '*' build

opensearch: ## OpenSearch into the user's cache, and .tools/bin/opensearch-node, which runs a node; wants Java and Maven
	@scripts/opensearch.sh

search: tools opensearch ## What the runner does to Elasticsearch, done to three real nodes of OpenSearch; stand-ins against them
	cargo test --locked -p regreen-runner --test opensearch
	cargo test --locked -p regreen-simcloud --test search

bench: tools ## Raw JetStream, ingest, webhook → effect, recovery, takeover, 2,000 checks; a table on stderr, JSON on stdout
	cargo build --release --locked --workspace
	cargo run --quiet --release --locked -p regreen-tests --bin regreen-bench

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

unit: tools
	cargo build --workspace --locked
	cargo test --workspace --locked --exclude regreen-tests

# A few at a time: each story is half a dozen real processes.
stories: tools
	cargo build --workspace --locked
	cargo test --locked -p regreen-tests -- --test-threads=3

editor: ## The JSON Schema in a real yaml-language-server
	tests/editor/run.sh

# For ten minutes: make chaos CHAOS="--minutes 10"
CHAOS ?= --kills 100
chaos: tools ## kill -9 of services and nats-server at random moments, under load, judged by the effect log
	cargo build --release --locked --workspace
	cargo run --quiet --release --locked -p regreen-tests --bin regreen-chaos -- $(CHAOS)

kills: tools
	cargo build --workspace --locked
	cargo run --quiet --locked -p regreen-tests --bin regreen-chaos -- --kills 12 --rate 50 --seed 1

# In a folder of its own: a build that replays histories has a flag that nothing else is built with.
sim: tools ## Thousands of histories on virtual time, each judged; nine rules broken one by one. One again: make sim SIM="--seed 17"
	RUSTFLAGS="$$RUSTFLAGS --cfg tokio_unstable" cargo test --profile sim --locked -p regreen-sim --test sim \
		--target-dir "$${CARGO_TARGET_DIR:-target}/sim" -- $(SIM)

build: ## target/release/regreen
	cargo build --release --locked -p regreen-cli -p regreen-simcloud

services: ## target/release/regreen-{ingest,probe,engine,runner,notifier}
	cargo build --release --locked -p regreen-ingest -p regreen-probe -p regreen-engine -p regreen-runner -p regreen-notifier

fmt:
	cargo fmt --all

schemas: ## Writes schemas/json, docs/reference and the index of docs/errors anew from the code
	REGREEN_UPDATE=1 cargo test -p regreen-schemas --test json
	REGREEN_UPDATE=1 cargo test -p regreen-playbook --test schema --test reference --test pages
