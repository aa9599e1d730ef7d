// Package server carries request frames in and responses out over many connections, in order and in bounded memory.
//
// It knows sockets, frames and pipelining. What a frame says is the business
// of a Handler, one per connection, which Options.Open returns.
//
// # Guarantees
//
//   - Responses leave a connection in the order of its requests (G3), and
//     requests take effect in that order: a request starts when every earlier
//     one of its connection has been answered. The exception is a request
//     that Handler.Overlaps admits (Produce): it starts while earlier
//     overlapping requests still wait for their answer, but after every
//     earlier request of the other sort has been answered.
//   - At most Limits.PendingMax requests of one connection are under way; then
//     its reader stops reading, which is back-pressure.
//   - A frame of negative size or more than Limits.FrameBytesMax closes the
//     connection (G1), as does one whose Handler.Weight is more than both that
//     and 16 MiB. A frame's buffer grows as its bytes arrive: a claimed size costs
//     nothing.
//   - The buffers of all requests being read or under way, and the weights of
//     those to be served, stay below Limits.RequestBytesMax plus what one
//     frame needs while it grows, twice FrameBytesMax, and the greatest weight,
//     FrameBytesMax or 16 MiB (see Memory). Weights of at most 48 KiB do not count: connections
//     bound them.
//   - Bytes that a Handler spliced into a response are let go exactly once,
//     after the write has ended, well or badly. A peer that does not read is
//     closed, so that it cannot pin them.
//   - Memory of responses that wait for their peers stays below
//     Limits.RequestBytesMax, all together, plus those younger than a second:
//     beyond it the greatest that is not taken is closed.
//   - Connections that Options.Full or a limit refuses are closed at once.
//   - A panic in a Handler is logged with its stack, counted, and costs its
//     own connection only.
//
// # Memory
//
// A reader acquires from a budget before its buffer grows, and it is returned
// when the handler is done with the frame: a response that is not read holds
// none. Many half-read large frames could between
// them hold the whole budget and each wait for more. That does not deadlock:
// waiters are served first come first served, and the first of them, if the
// budget has nothing for it, becomes the one holder of the lifeline, which may
// go on over the limit until its request is done. The holder waits for nothing
// that another request holds, or for its weight, which comes; so it either
// completes, or its peer is too slow
// and the sweep closes it; both return what it holds and pass the lifeline
// on. So every waiter comes to be first, and is served. Frames up to
// smallFrameBytesMax have a budget of their own (an eighth), so that heartbeats
// and fetches do not queue behind large produces, and a parked long poll, which
// is small, never holds what a large frame waits for.
//
// When the frame is there, the reader acquires the weight of the request, what
// it is decoded into and answered with, from a third budget (a quarter). Its
// holders are being served, or are next: they wait for no peer to send and for
// no memory. What they may wait for, other connections (a long poll, a group
// that gathers), ends within a second when others wait for memory, and does not
// begin then if the request weighs more than 1 MiB. So whoever waits for weight
// is served, however slow the peers are that hold the memory of frames.
//
// # Slow and silent peers
//
// A sweep once a second closes a connection that is idle for
// Limits.IdleMax (G8), and one whose current frame or response moves slower
// than Limits.StallGrace plus its bytes at stallRateBytesPerSecond.
// Time that a reader spends waiting for budget does not count. Of responses,
// the time by which the ones before were slower counts too.
//
// # What it does not do
//
// No TLS, no SASL (a TLS listener may be passed to Serve), no throttling.
//
// # Concurrency
//
// A connection has one goroutine that reads frames and starts overlapping
// requests, and one that runs the other requests and writes responses. A
// Handler's Serve is never called twice at once for one connection.
//
// # Lifetime of bytes
//
// A frame is valid until Serve returns, or until the returned wait returns.
package server
