// Package shares divides what the connections of a node have in common: room for frames, first come first served, and places.
//
// It guarantees that no claim on a Budget is passed by a later one, and that
// claims cannot wait for each other. It does not know connections, nor how long
// one may keep what it has.
//
// Concurrency: a Budget is safe for concurrent use.
//
// Lifetime: nothing given to it is kept.
package shares
