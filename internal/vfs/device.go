package vfs

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

func (o *osFile) WriteOut(off, n int64) {
	_ = unix.SyncFileRange(o.fd, off, n, unix.SYNC_FILE_RANGE_WRITE)
}

func (o *osFile) WaitOut(off, n int64) error {
	const flags = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	for {
		err := unix.SyncFileRange(o.fd, off, n, flags)
		if err != unix.EINTR {
			return wrap("sync_file_range", o.name, err)
		}
	}
}

// deviceCell holds what Device found: 0 nothing yet, 1 none, or the device + 2.
type deviceCell struct{ atomic.Uint64 }

func (o *osFile) Device() Device {
	if v := o.device.Load(); v != 0 {
		return Device(v - 1)
	}
	d := deviceOf(o.fd)
	o.device.Store(uint64(d) + 1)
	return d
}

// deviceOf tells the device of a file if a write over written extents of it
// changes no metadata that a flush of the device would not make durable, and if
// every fdatasync, also of a file with nothing to write, flushes the device.
// Both hold for ext4 unless data goes through the journal, and for XFS unless
// blocks may be shared (a reflinked copy of a file has its next write go
// elsewhere) or lie on a device of their own. What cannot be found out is no.
func deviceOf(fd int) Device {
	var sfs unix.Statfs_t
	var st unix.Stat_t
	if unix.Fstatfs(fd, &sfs) != nil || unix.Fstat(fd, &st) != nil {
		return 0
	}
	ok := false
	switch sfs.Type {
	case unix.EXT4_SUPER_MAGIC:
		ok = ext4InPlace(fd, uint64(st.Dev))
	case unix.XFS_SUPER_MAGIC:
		ok = xfsInPlace(fd)
	}
	if !ok {
		return 0
	}
	return Device(st.Dev + 1) // 0 is no device
}

// ext4InPlace asks for the file's flags and for the mount's options as the
// driver shows them: /proc/mounts leaves out a mode that is the superblock's
// default. A file system without a journal shows no mode.
func ext4InPlace(fd int, dev uint64) bool {
	const journalData, inlineData, dax = 0x4000, 0x10000000, 0x02000000
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || flags&(journalData|inlineData|dax) != 0 {
		return false
	}
	id := strconv.Itoa(int(unix.Major(dev))) + ":" + strconv.Itoa(int(unix.Minor(dev)))
	link, err := os.Readlink("/sys/dev/block/" + id)
	if err != nil {
		return false
	}
	options, err := os.ReadFile("/proc/fs/ext4/" + filepath.Base(link) + "/options")
	return err == nil && ext4OptionsInPlace(string(options))
}

func ext4OptionsInPlace(options string) bool {
	if !strings.Contains("\n"+options, "\nrw\n") {
		return false
	}
	for o := range strings.Lines(options) {
		switch o = strings.TrimSpace(o); {
		case o == "data=ordered", o == "data=writeback", o == "dax=never", o == "dax=inode":
		case strings.HasPrefix(o, "data="), strings.HasPrefix(o, "dax"):
			return false
		}
	}
	return true
}

// xfsGeometry is struct xfs_fsop_geom_v1.
type xfsGeometry struct {
	_       [8]uint32
	_       [2]uint64
	rt      uint64 // extents of the realtime device
	_       uint64
	_       [16]byte
	_       [2]uint32
	version int32
	flags   uint32
	_       [3]uint32
}

func xfsInPlace(fd int) bool {
	const geometryV1, reflink = 0x80705864, 1 << 20
	var g xfsGeometry
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), geometryV1, uintptr(unsafe.Pointer(&g)))
	return errno == 0 && g.flags&reflink == 0 && g.rt == 0
}
