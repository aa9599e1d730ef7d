// Package effect is how the state machines of groups and of transactions ask for what happens outside of them: replies, appends, timers.
//
// A machine never acts. It adds to an [Effects] that its caller passes in: a Reply for a call that is to be answered,
// an Append for records that must reach the log. [Log] remembers what follows from an append's outcome, [Timers] what
// is to be done at which time. [Error] names the outcomes of calls.
//
// It guarantees that an append is answered once, whatever its outcome, and that ids of appends ascend in the order
// in which they were emitted. It knows nothing of groups.
//
// Concurrency: none; everything of one state machine belongs to one goroutine at a time.
//
// Lifetime of bytes: the records of an Append belong to the receiver.
package effect
