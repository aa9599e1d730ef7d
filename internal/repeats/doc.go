// Package repeats says when what goes on being so is to be logged again.
//
// A Log remembers what was said, by what it is about and why. Say agrees to
// each reason once, and from then on once a minute. It remembers a bounded
// number of each, whatever is thrown at it: what is beyond is not said.
//
// It writes nothing itself.
//
// Concurrency: a Log is safe for concurrent use.
package repeats
