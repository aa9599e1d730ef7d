// Package classic is the life of one consumer group of the classic protocol: who is a member, who leads, which generation it is, and what each member was assigned.
//
// A [Group] is a pure state machine: what happens outside is asked for through package effect, time is an argument.
// package group keeps the groups of a partition, and their offsets, and gives each call to the group it names.
//
// It guarantees the invariants that [Group.Valid] checks; that a held join or sync is answered once, at the latest
// when its phase ends; and that members hear of an assignment only after it has been recorded.
//
// It knows no request versions: the fields of requests say what a client can take.
//
// Concurrency: none; a Group and its Env belong to one goroutine at a time.
//
// Lifetime of bytes: what a Group keeps of a request it copies. Metadata and assignments in responses are shared and
// must not be written to.
//
// Rule ids in comments (J15) stand for Kafka's group protocol as KIP-62, KIP-345, KIP-394, KIP-559 and KIP-814 have it.
package classic
