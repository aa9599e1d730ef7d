# Chronik. `make help` lists what there is.

GO       ?= go
BIN      := bin/chronik-server
FUZZTIME ?= 20s
TIME     ?= 10m
COUNT    ?= 10
CRASHES  ?= 20
POWER_CUTS ?= 20
SIM_SEEDS := $(or $(SEEDS),200)
SEEDS    ?= 1000
KILLS    ?= 20

.DEFAULT_GOAL := help
.PHONY: help record codec run build test check lint race fuzz-smoke fuzz compat compat-cluster e2e sim crash hostile disk startup scale demo bench bench-storage bench-codec golden docs

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build and start a broker on port 9092 of every address, its data in ./data, metrics on 8091
	./$(BIN)

build: ## build bin/chronik-server
	$(GO) build -buildvcs=auto -o $(BIN) ./cmd/chronik-server

test: ## go vet and go test -race: the whole module, and what needs no broker of the test modules
	$(GO) vet ./...
	cd test && $(GO) vet ./...
	cd examples/flightsdemo && $(GO) vet .
	cd bench/peers && $(GO) vet ./...
	$(GO) test -race -count=1 -timeout 60m ./...
	cd test && $(GO) test -race -count=1 -run AuditSees ./load
	cd examples/flightsdemo && $(GO) test -race -count=1 .
	cd bench/peers && $(GO) test -count=1 ./...

race: test ## the same as test: tests always run with the race detector

lint: ## the rules of the repository: imports, budgets, documents, banned calls
	$(GO) test -count=1 -v ./internal/lint

fuzz-smoke: ## every fuzz target for FUZZTIME (20s), two at a time, and a canary, in which a bug must be found
	.ci/fuzz $(FUZZTIME)

fuzz: ## every fuzz target for TIME (10m), two at a time, or one: T=FuzzBatch
	.ci/fuzz $(TIME) $(T)

compat: build ## real clients against the real binary, the protocol rule by rule over raw sockets, the program as a program
	cd test && CHRONIK_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 30m ./compat/... ./proto/... ./program/...

crash: build ## power cuts at every step of the storage engine, from SEEDS (1000) seeds, and failing calls from a tenth of them; then kill -9 under traffic, CRASHES (20) times
	CHRONIK_CRASHES=$(SEEDS) $(GO) test -count=1 -timeout 3h -v -run Campaign ./segment ./wal ./raftstore/...
	cd test && CHRONIK_BIN=$(CURDIR)/$(BIN) CHRONIK_CRASH_ROUNDS=$(CRASHES) $(GO) test -count=1 -timeout 30m -v ./crash/...

codec: ## the codec beside golden bytes and franz-go's kmsg: every message, every version, with the counts
	@bash -o pipefail -c "$(GO) test -count=1 -v -run 'Golden|Headers|Definitions|Differential|Exceptions|Interop|AllocationIsBounded' ./kafka/wire ./kafka/msg/... ./kafka/batch/... ./broker/group/record ./fuzz/differential | grep -v '^ *=== RUN\|^ *--- PASS.*/'"

hostile: build ## a thousand hostile connections beside a well-behaved client: its latency, the broker's memory, what is left; and few descriptors
	cd test && CHRONIK_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 30m -v ./hostile

disk: build ## POWER_CUTS (20) power cuts of the binary on a real ext4, a full disk, a failed fsync; needs root
	cd test && CHRONIK_BIN=$(CURDIR)/$(BIN) CHRONIK_POWER_CUTS=$(POWER_CUTS) $(GO) test -count=1 -timeout 30m -v ./disk

startup: build ## time from start to ready and idle memory, printed
	cd test && CHRONIK_BIN=$(CURDIR)/$(BIN) $(GO) run ./startup

scale: build ## restart with 10,000 partitions of mixed size after kill -9: time to ready, memory, descriptors, mappings, printed
	cd test && CHRONIK_BIN=$(CURDIR)/$(BIN) $(GO) run ./scale

demo: build ## real flights and earthquakes through a broker, counted and compared
	cd examples/flightsdemo && $(GO) run . -bin $(CURDIR)/$(BIN)

compat-cluster: build ## the real clients against a cluster of three nodes: every topic has three replicas
	cd test && CHRONIK_BIN=$(CURDIR)/$(BIN) CHRONIK_TEST_NODES=3 $(GO) test -count=1 -timeout 30m ./compat

e2e: build ## clusters of real processes, on loopback and in network namespaces (needs root): KILLS (20) leaders killed under load, cuts, power cuts, restarts; or one test: T=TestISR
	cd test && CHRONIK_BIN=$(CURDIR)/$(BIN) CHRONIK_KILLS=$(KILLS) $(GO) test -count=1 -timeout 30m -v -run '$(T)' ./harness ./e2e

sim: ## a whole cluster in one process on virtual time, broken in every way from SEEDS (200) seeds, and bugs on purpose that must be found; or one seed: SEED=123
	$(GO) run ./sim/repeatable -out bin/sim
	$(GO) test -overlay bin/sim/overlay.json -tags repeatable -c -o bin/sim/sim.test ./sim
ifdef SEED
	cd bin/sim && CHRONIK_SIM_SEED=$(SEED) GOMAXPROCS=1 GOGC=off GODEBUG=asyncpreemptoff=1,memprofilerate=0 ./sim.test -test.v -test.run '^TestOneSeed$$'
else
	cd bin/sim && CHRONIK_SIM_SEEDS=$(SIM_SEEDS) ./sim.test -test.v -test.timeout 3h
endif

bench: ## benchmarks of the storage engine and the codec, COUNT (10) runs each, for benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) ./segment ./wal ./kafka/...

bench-storage: ## append, read, lookup and recovery against the raw device, then against other logs and stores, into bench/results
	mkdir -p bin
	$(GO) test -run '^$$' -bench . -benchmem ./segment ./wal | tee bin/storage.txt
	mv bin/storage.txt bench/results/storage.txt
	cd bench/peers && $(GO) run . -dir $(CURDIR)/bin -out $(CURDIR)/bench/results/peers

bench-codec: ## encode and decode beside the codecs of two Go clients, into bench/results; about two minutes
	mkdir -p bin
	cd bench/peers && $(GO) run ./codec -out $(CURDIR)/bin/codec.txt
	mv bin/codec.txt bench/results/codec.txt

golden: ## write the golden transcripts anew; the diff is the review
	$(GO) test -count=1 ./broker/group ./broker/fetchsession -rewrite

record: build ## write the fuzzing corpus anew from what the clients of make compat and the broker say to each other
	rm -rf bin/record
	cd test && CHRONIK_RECORD=$(CURDIR)/bin/record CHRONIK_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 30m ./compat
	cd test && $(GO) run ./record -from $(CURDIR)/bin/record -out $(CURDIR)/fuzz/testdata/traffic.jsonl.gz

docs: ## write docs/configuration.md, docs/protocol.md and the package list of docs/ARCHITECTURE.md anew
	$(GO) run ./cmd/chronik-server config reference > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md
	$(GO) run ./cmd/chronik-server protocol > docs/protocol.md.new
	mv docs/protocol.md.new docs/protocol.md
	$(GO) test -count=1 -run Sentences ./internal/lint -rewrite

check: ## everything that CI runs, and how long it took; ends with `N passed, N failed`
	.ci/check
