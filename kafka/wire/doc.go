// Package wire reads and writes the primitive types of the Kafka protocol.
//
// It guarantees:
//   - A Reader never reads past its input and never panics on it. The first error
//     sticks: later reads return zero values, so a decoder checks once, at the end.
//   - No count and no length is believed before it is compared with the bytes that
//     are left, so what a decode allocates is at most a fixed multiple of its input;
//     Reader.Limit makes it less.
//   - A Writer appends into one buffer that Reset keeps: no allocation in steady state.
//   - Bytes given to Writer.Splice reach the output without being copied.
//
// Reader and Writer keep the position for those who use them by hand. The Get methods and
// the Put functions take and return it, for generated code, which is half as fast again
// that way.
//
// It does not know messages (kafka/msg does), record batches (kafka/batch) or sockets.
//
// Concurrency: a Reader or Writer belongs to one goroutine at a time.
//
// Lifetime of returned bytes: strings and byte slices from a Reader alias the frame
// it was given (docs/adr/0001-strings-alias-the-frame.md). They are valid while the
// frame is neither changed nor reused; strings.Clone and slices.Clone to keep longer.
// Buffers returned by a Writer are valid until its next Reset; spliced slices must stay
// valid and unchanged until the output has been written.
//
// Encodings are those of the Kafka protocol guide; "flexible" ones are KIP-482's.
package wire
