// Package compress is the compression of a batch's records: Kafka's five codecs, read as streams within limits and written as Java writes them.
//
//   - Reader decompresses one payload after another. It takes the framings that
//     clients in use write, snappy-java's and one raw block among them.
//   - Writer compresses. What it writes, every client reads.
//
// It guarantees that no input panics; that no more than the limit comes out,
// whatever the payload promises (ErrTooLarge); that memory is bounded by what
// the payload holds, by the limit, and by WindowBytesMax, never by what a
// header claims; that time is bounded by payload and limit; and that a payload
// which is cut short or bent is an error and not a short result, as far as the
// codec's own format can tell (the batch's CRC tells the rest).
//
// It is stricter than Java where a Java consumer could not read what we take:
// LZ4 is one frame of independent blocks and nothing after it, snappy is not S2.
// It does not know batches or records, and it knows no dictionaries.
//
// Concurrency: a Reader or a Writer serves one stream at a time.
//
// Lifetime: what Open returns as whole is the payload itself or storage of the
// Reader, good until its next Open or Release.
package compress
