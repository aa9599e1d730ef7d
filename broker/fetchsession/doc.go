// Package fetchsession remembers which partitions a consumer fetches, so that a request and its response name only what changed.
//
// It implements KIP-227 as rules F30 to F39 of the protocol notes state it. A
// fetch goes through it twice: [Cache.Begin] takes what the request says and
// gives the [Fetch], whose Partitions are to be read, in order; when they have
// been read, [Fetch.Finish] takes what was found and says which partitions the
// response lists, and under which session id.
//
// It guarantees that a session's epoch advances with each request that Begin
// accepted, so a request that is repeated or overtaken is refused; and that
// the cache holds at most its number of slots, and 128 MiB, whatever partitions
// clients name. A cache without room answers every fetch correctly, as a full
// one.
//
// It does no I/O and reads no clock: time is an argument. It knows no wire
// format.
//
// Concurrency: a Cache is safe for concurrent use; a Fetch belongs to one
// goroutine. Two fetches of one session may be under way at once (a client
// that gave up on the first); what each lists is right by what it read.
//
// Lifetime of strings: what a session keeps of a request it copies. The names
// in Fetch.Partitions are the session's, or those of the request.
package fetchsession
