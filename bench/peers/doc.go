// Command peers puts the same work through Chronik's log, through the logs and
// stores that others use for the same purpose, and through the raw device, in
// one run, and prints a table and a plot.
//
// Every contender gets the same entries in the same batches, is set up as its
// own documentation recommends, and is measured in turn: a row is done in
// slices that go round the contenders, so that what else the machine does hits
// all alike. What a contender cannot do (raft-wal cannot leave out the sync,
// etcd's wal cannot read one entry by its index) is left out of the row.
//
//   - chronik: chronik/wal with a Syncer, as a node runs it
//   - etcd: go.etcd.io/etcd/server/v3/storage/wal, Save; unsynced with SetUnsafeNoFsync
//   - raft-wal: github.com/hashicorp/raft-wal, StoreLogs
//   - tidwall: github.com/tidwall/wal, Write and WriteBatch; unsynced with NoSync
//   - raft-boltdb: github.com/hashicorp/raft-boltdb/v2, StoreLogs; unsynced with NoSync
//   - pebble: github.com/cockroachdb/pebble/v2, a batch with Sync or NoSync, the index as the key
//   - raw: pwrite and fdatasync of the payloads alone in a file that was written before
//   - raw-append: the same at the end of a growing file
//
// Raw is no log: it has no lengths, no checksums and cannot be recovered. It is
// what the others are measured against and takes no place in a row.
package main
