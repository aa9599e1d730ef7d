// Package hostile attacks the real binary with a thousand raw connections while a well-behaved client works beside them.
//
// What must hold: every record of the well-behaved producer is acknowledged and consumed once and in order, and no request
// of that client fails; the process's memory stays below the bound of docs/memory.md; what the protocol says is closed is
// closed and what it says survives answers; afterwards no goroutine and no socket is left. With few descriptors, storage
// still rolls and a client that was connected goes on. How fast the client is beside the hostile ones is printed, not judged.
package hostile
