// Command repeatable writes a copy of a few files of Go's runtime in which chance comes from a seed, for building the simulation with.
//
//	go run ./sim/repeatable -out bin/sim
//	go test -overlay bin/sim/overlay.json -tags repeatable ./sim
//
// The overlay changes, for goroutines in a testing/synctest bubble and no others:
// what select, maps, timers of the same instant and math/rand draw comes from a
// generator that runtime.simSeed sets. For all: a goroutine is not preempted for
// having run long, which depends on the load of the machine; a mutex does not
// change its mode after a millisecond of real time; and a goroutine that waits
// for a mutex counts as waiting, so that virtual time goes on while another
// holds the mutex and sleeps (a slow disk).
//
// Each change is a replacement of a text that must be there exactly once: with a
// Go release in which it is not, the command fails, and says where.
package main
