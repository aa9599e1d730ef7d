// Package inspect reads the files of logs offline and says what is in them and where they are damaged.
//
// Inspect describes segments, Verify reads every byte that the formats cover
// (segment/FORMAT.md, wal/FORMAT.md) and the record batches in the frames, and
// Dump writes frames, batches and records out. Compare compares two copies.
//
// It guarantees:
//   - it opens files read-only, maps nothing, takes no lock and writes nothing,
//     so that it can run beside the broker that the files belong to;
//   - a log that changes meanwhile is read again before anything is called
//     torn or corrupt: what is reported was found twice, in a segment that the
//     manifest named all the time, and a log that is being removed is none;
//   - clean, torn tail, corrupt and newer version are four different answers,
//     and the numbered states of the two formats decide which;
//   - memory for one frame: a length is believed only as far as the file reaches
//     and, above 1 MiB, under a good hash.
//
// It does not repair (wal/repair does), and it does not read hard states (raftstore/FORMAT.md).
//
// Concurrency: every call stands alone.
//
// Lifetime: what is returned is the caller's.
package inspect
