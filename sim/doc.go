// Package sim runs a whole cluster in one process, on virtual time, from one seed, breaks it in every way it knows, and proves that its clients saw nothing wrong.
//
// A node is put together from the packages that a real one runs on: hard states,
// multiraft, metadata, broker. Instead of a disk it has sim/disk, instead of
// sockets sim/network, instead of clients over TCP those of this package, which
// call the broker's Go API the way a Kafka client uses the protocol. The clock is
// that of a testing/synctest bubble: it moves when every goroutine waits.
//
// What a seed decides: the size of the cluster, topics, clients, and every fault
// with its time, kind and victim (faults.go). What happened is recorded by
// sim/history, whose documentation lists the rules that are checked.
//
// What a seed does not decide by itself is what Go leaves to chance: which of
// several ready goroutines, timers and select cases comes first, the order of
// maps, and election time-outs, which raft draws from crypto/rand. `make sim`
// builds with a runtime whose chance comes from the seed too (sim/repeatable); then the
// same seed gives the same run, which TestRepeats checks. Without it, as in
// `go test ./sim`, a seed gives a similar run.
//
// It does not run sockets, the Kafka codec, kafka/handler, or memory mappings:
// test/e2e does, over real processes.
//
// Concurrency: one Run at a time in a process.
package sim
