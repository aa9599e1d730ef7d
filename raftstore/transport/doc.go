// Package transport carries raft messages and calls between the nodes of a cluster, over TCP or mutual TLS.
//
// A node dials every peer it knows and keeps three connections to it: small
// (heartbeats, votes, responses, small appends), bulk (what is larger than
// 64 KiB), and calls. What the peer sends travels on the connections that the
// peer has dialed. Messages wait in a bounded queue for each connection, and all
// that wait leave together, as one frame: so the heartbeats of all groups of a
// pair of nodes travel as one. FORMAT.md has the bytes.
//
// It guarantees:
//   - Send never blocks: what does not fit, or has nowhere to go, is dropped, and
//     Unreachable says so, at most once a second for each node;
//   - appends of one group reach the peer in the order they were sent, as long
//     as no connection breaks, whichever connection they travel on: a group that
//     has sent a large append stays on bulk until it has sent none for a while;
//   - Down is told only when a connection was reset or closed by the other side
//     and its address then refuses to be dialed: a process that is gone, and not
//     a link that is cut, which looks different;
//   - a connection that is silent for some seconds is closed (both sides hear at
//     least a ping or its answer every second);
//   - sender and receiver of a message are those that the hello has named; nodes
//     of two clusters do not talk to each other;
//   - what is no peer is named as far as its bytes tell: TLS against plain TCP,
//     HTTP, a Kafka client; a reason that repeats is logged once a minute;
//   - arbitrary bytes cause neither a panic nor an allocation much larger than
//     what has arrived; frames above 1 MiB, which known peers alone may send, share
//     a bound, and a frame that does not arrive in time ends its connection;
//   - whoever connects, in whatever number and under whatever names, ends no
//     connection of a known peer's from another host, and keeps none out.
//
// It does not repeat messages (raft does), nor calls: ErrUnreachable means that
// a call was not served, ErrLost that it may have been. It does not know which
// nodes there are: SetPeer tells.
//
// Concurrency: a Transport is safe for concurrent use. Callbacks run on its own
// goroutines, with no lock held.
//
// Lifetime: a delivered message belongs to the receiver; the data of its entries
// is a part of the buffer it was read into, which is never used again. Messages
// given to Send are shared and not changed. The body of a call belongs to Serve.
package transport
