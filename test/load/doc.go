// Package load keeps a broker busy and holds it to what it has acknowledged.
//
// Producers (idempotent and not, acks=all and acks=1), a topic that retention keeps short, a consumer group and a
// committer without a group run through everything that is done to the broker: their clients retry for ever. Every
// record carries its producer, its sequence number in the partition and a checksum, and every acknowledgement is kept
// with its offset, so the log can be compared with what was promised: nothing missing, nothing changed, order kept, no
// duplicate from an idempotent producer, offsets dense; committed offsets and topics are there as acknowledged.
//
// A Rig's methods are called by the test's goroutine.
package load
