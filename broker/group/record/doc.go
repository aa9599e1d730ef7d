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
// Key and value begin with an int16: the key's is the record's type, the value's its version. Kafka's schemas are
// OffsetCommitKey, OffsetCommitValue (0-4), GroupMetadataKey, GroupMetadataValue (0-4):
//
//	key 0, 1   group string | topic string | partition int32
//	value      offset int64 | leaderEpoch int32 (3+) | metadata string | commitTimestamp int64 |
//	           expireTimestamp int64 (1) | tag 0: topicId uuid (4+)
//	key 2      group string
//	value      protocolType string | generation int32 | protocol string? | leader string? |
//	           currentStateTimestamp int64 (2+) | members [] of
//	             memberId string | groupInstanceId string? (3+) | clientId string | clientHost string |
//	             rebalanceTimeout int32 (1+) | sessionTimeout int32 | subscription bytes | assignment bytes
//
// Version 4 of both values is flexible (KIP-482). Written are the highest versions that are not: 3 for groups; for
// offsets 3, or 1 with an expiry, or 4 to carry a topic id.
package record
