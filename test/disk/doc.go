// Package disk proves on a real ext4 that a power cut, a full disk and a failed fsync lose nothing that was acknowledged.
//
// The file system lies in an image file that is mounted through a loop device; the broker's data directory is on it.
//
//   - A power cut: the broker is stopped (SIGSTOP) in the middle of the traffic of package load, and the file system is
//     told to write nothing more, not even its journal. The same with three nodes of a cluster on one disk. What the image holds then is what reached the disk; it is copied,
//     the copy is mounted (ext4 replays its journal), a broker is started on it and the load checks that everything
//     acknowledged is there. What only the page cache knew is gone. An image takes writes in order, so what a disk's own
//     cache may lose between two flushes is not simulated here (internal/vfs does that).
//   - A full disk: a ballast file takes all the room; appends are refused and reads go on; without the ballast everything
//     goes on without a restart.
//   - A failed fsync: the image is sparse and lies on a tmpfs that is full, so that the device cannot take what the file
//     system accepted; no log acknowledges anything after its sync has failed, whatever happens to the device.
//
// It needs root, loop devices and mkfs.ext4, and fails without them.
//
//	CHRONIK_POWER_CUTS          power cuts of one node (20)
//	CHRONIK_CLUSTER_POWER_CUTS  power cuts of a cluster of three (5)
//	CHRONIK_DISK_SEED           seed of the moments and of the records (random; a failure prints it)
package disk
