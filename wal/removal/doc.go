// Package removal deletes a closed log's directory so that a crash leaves the whole log, or one that is known to be going.
//
// The order of its steps, and what Open makes of what a crash leaves, is in
// wal/FORMAT.md. It takes no lock: the log must be closed.
package removal
