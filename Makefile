# `make` alone lists the targets. Whatever a check needs it sets up itself: Go is
# the only thing to install (and a C compiler for the race detector).

SHELL   := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

ARGS     ?=     # of the program:              make run ARGS='--listen 127.0.0.1:8000'
BENCH    ?= .   # which benchmarks:            make bench BENCH=Rotate
COUNT    ?= 3   # runs of each benchmark
FAULT    ?= Crash|Cut|Failover|LostAnswer|FullDisk # which: make faults FAULT=Failover ROUNDS=20
ROUNDS   ?=     # of each fault; of the soak 500:  make soak ROUNDS=5000
FUZZTIME ?= 60s # of each target:              make fuzz FUZZTIME=10m

.DEFAULT_GOAL := help
.PHONY: help run build test lint generate fuzz pictures faults soak revocation timing try bench cover clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start the server with its data in ./watchword-data
	go run ./cmd/watchword serve $(ARGS)

build: ## one static binary, bin/watchword
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/watchword ./cmd/watchword

test: ## everything that must hold before a change goes in (under 10 minutes on 2 cores)
	@.ci/check

lint: ## the quick part of it: format, vet, staticcheck, tidy
	@.ci/check format vet staticcheck tidy

generate: ## write again what is made from the code (every //go:generate line)
	go generate ./...

fuzz: ## every fuzz target for a minute
	@FUZZTIME=$(strip $(FUZZTIME)) .ci/check fuzz

pictures: ## of every page, in build/screenshots, for you to look at
	WATCHWORD_TEST_PICTURES='$(CURDIR)/build/screenshots' go test -run 'EveryPage|TheFrontEnd|ThePageOf|TheGuide' -count=1 ./server ./examples

faults: ## what each fault does to clients, as the table of docs/faults.md
	SOAK_ROUNDS=$(strip $(ROUNDS)) go -C cmd/watchword test -run '$(strip $(FAULT))' -count=1 -timeout=0

soak: ## every fault 500 times under load, and histories checked
	SOAK_ROUNDS=$(or $(strip $(ROUNDS)),500) go test -run '$(strip $(FAULT))|Linearizable|Bouncer' -count=1 -timeout=0 -v ./cmd/... ./store/...

revocation: ## how long after a logout services refuse, with one and three servers
	SOAK_ROUNDS=$(or $(strip $(ROUNDS)),1000) go test -run Revoked -count=1 -timeout=0 -v ./cmd/watchword

timing: ## whether the time of an answer tells who has an account
	go run ./lab/timing/cmd -samples $(or $(strip $(ROUNDS)),1000)

try: ## run deploy/ on the loopback, with Patroni, and kill the primary
	deploy/try

bench: ## the benchmarks, three runs of each
	go test -run '^$$' -bench '$(strip $(BENCH))' -benchmem -count=$(strip $(COUNT)) ./...

cover: ## which lines the tests reach, in cover.html
	go test -coverpkg=./... -coverprofile=cover.out ./...
	go tool cover -html=cover.out -o cover.html
	@go tool cover -func=cover.out | tail -1

clean: ## remove what these targets made, not your data
	rm -rf bin cover.out cover.html
