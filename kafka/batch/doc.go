// Package batch is the record batch: viewing, checking, iterating and building Kafka's magic 2 batches as bytes.
//
// A batch is a 61 byte header and then records, raw or compressed as one
// stream (KIP-98; the byte table stands above View). The bytes a producer
// sent are the bytes that are stored, replicated and served: this package
// reads them where they lie and patches only what the broker must assign.
//
//   - View reads and sets header fields in place, without allocation.
//   - First takes the single batch out of a Produce request's bytes; Validate
//     applies every rule a leader checks before it appends one.
//   - Records iterates the records of a batch of any codec; FirstAtOrAfter
//     looks one up by time.
//   - Builder makes batches, for internal topics, markers and tests.
//   - The codecs are package compress, whose names stand here again.
//
// It guarantees that no input panics, that no length is believed before the
// bytes are there, and that decompression is a stream that stops at a limit
// (Scratch): a bomb costs bounded memory and bounded time and is an error.
//
// It does not know partitions, offsets beyond one batch, or producer state;
// it reads no clock. It does not convert the legacy formats (magic 0 and 1):
// they are recognised and refused, as Kafka 4 does.
//
// Concurrency: a View is as safe as the bytes below it: many readers or one
// writer. A Scratch serves one call at a time. Calls that bring none share a
// bounded number and may wait for one.
//
// Lifetime: a View, and the keys, values and headers of an uncompressed
// batch, alias the bytes they were read from. Those of a compressed batch
// alias the Scratch until the next step of the iteration.
package batch
