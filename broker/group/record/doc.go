// Package record encodes and decodes the records of __consumer_offsets.
//
// It guarantees that what Kafka 4 writes for classic groups and offsets decodes, in all versions of the values, and
// that what it encodes is what Kafka 4 would write for it. Decoding never panics, checks every length against the
// bytes left, and names what it does not know: a key of another type is KindOther, not an error, so that a newer
// release's records can be skipped.
//
// It does not know groups: package group decides what records mean. It has no state; everything is safe for
// concurrent use.
//
// Lifetime of bytes: strings and bytes of decoded values alias the record.
//
// The encoding is that of package msg: OffsetCommitKey and OffsetCommitValue (0-4), GroupMetadataKey and
// GroupMetadataValue (0-4), as kafka/msg/def/group_records.def defines them. Written are the highest versions that are
// not flexible: 3 for groups; for offsets 3, or 1 with an expiry, or 4 (flexible) to carry a topic id.
package record
