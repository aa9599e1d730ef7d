// Package scan reads a segment's file front to back and checks every byte that the format covers.
//
// It guarantees:
//   - the file is opened for reading only, nothing is mapped or written, so that
//     it can belong to a broker that runs;
//   - damage is a *segment.CorruptError with its position, a newer format a
//     *segment.VersionError, and the numbered states of segment/FORMAT.md decide
//     which, and what a torn tail is;
//   - memory for one frame: a length is believed only as far as the file reaches
//     and, above 1 MiB, under a good hash.
//
// It does not know manifests, and it does not look twice: a file that is being
// written to meanwhile may look torn or damaged.
//
// Concurrency: a Scan belongs to one goroutine.
//
// Lifetime: a frame's payload is valid until Visit returns, all else is the caller's.
package scan
