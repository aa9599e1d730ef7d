package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"sync"
	"unsafe"

	"github.com/edsrzf/mmap-go"
	"golang.org/x/sys/unix"
)

// OS is the operating system's file system.
var OS FS = osFS{}

type osFS struct{}

func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return &fs.PathError{Op: op, Path: name, Err: ErrNoSpace}
	}
	if errors.Is(err, unix.EMFILE) {
		var most unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &most)
		return &fs.PathError{Op: op, Path: name, Err: limitError{fmt.Errorf(
			"%w: this process may have %d (ulimit -n); each partition needs one, each connection one", unix.EMFILE, most.Cur)}}
	}
	if errors.Is(err, unix.ENFILE) || op == "mmap" && errors.Is(err, unix.ENOMEM) {
		return &fs.PathError{Op: op, Path: name, Err: limitError{err}}
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// limitError is a limit of the system that is reached: to who asks it is as a
// full disk, ErrNoSpace.
type limitError struct{ error }

func (e limitError) Unwrap() error        { return e.error }
func (e limitError) Is(target error) bool { return target == ErrNoSpace }

func (osFS) open(name string, flags int) (File, error) {
	f, err := os.OpenFile(name, flags|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, wrap("open", name, err)
	}
	return &osFile{f: f, fd: int(f.Fd()), name: name}, nil
}

func (o osFS) Create(name string) (File, error) {
	return o.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}
func (o osFS) Open(name string) (File, error)         { return o.open(name, os.O_RDWR) }
func (o osFS) OpenReadOnly(name string) (File, error) { return o.open(name, os.O_RDONLY) }
func (osFS) Rename(from, to string) error             { return wrap("rename", from, os.Rename(from, to)) }
func (osFS) Remove(name string) error                 { return wrap("remove", name, os.Remove(name)) }

// MkdirAll makes each missing directory and syncs its parent, so that the
// names on the way are durable too. So is dir's when it is there: whoever made
// it may have been killed before he could. A parent that may not be read has it
// from somebody else.
func (o osFS) MkdirAll(dir string) error {
	parent := filepath.Dir(dir)
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		if err := o.SyncDir(parent); !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil
	}
	if parent != dir {
		if err := o.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return wrap("mkdir", dir, err)
	}
	return o.SyncDir(parent)
}

func (osFS) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, wrap("readdir", dir, err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	sort.Strings(names)
	return names, nil
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return wrap("syncdir", dir, err)
	}
	defer d.Close()
	return d.Sync() // as it is: no room for it is no "ask again later"
}

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, wrap("lock", name, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrLocked
	}
	return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
}

func (osFS) Stat(name string) (Info, error) {
	st, err := os.Stat(name)
	if err != nil {
		return Info{}, wrap("stat", name, err)
	}
	return Info{Size: st.Size(), IsDir: st.IsDir()}, nil
}

func (osFS) Usage(name string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		return Usage{}, wrap("statfs", name, err)
	}
	unit := int64(st.Bsize)
	return Usage{Total: int64(st.Blocks) * unit, Free: int64(st.Bavail) * unit}, nil
}

// osFile keeps the descriptor beside the os.File, so that the write path is
// one system call without the poller's bookkeeping.
type osFile struct {
	f      *os.File
	fd     int
	name   string
	device deviceCell
}

func (o *osFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.f.ReadAt(p, off)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, wrap("read", o.name, err)
}

func (o *osFile) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pwrite(o.fd, p[done:], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, wrap("write", o.name, err)
		}
		done += n
	}
	return done, nil
}

// iovecsMax is Linux's UIO_MAXIOV.
const iovecsMax = 1024

type iovecs struct{ v [iovecsMax]unix.Iovec }

var iovecPool = sync.Pool{New: func() any { return new(iovecs) }}

func (o *osFile) Writev(bufs [][]byte, off int64) error {
	if len(bufs) == 1 {
		_, err := o.WriteAt(bufs[0], off)
		return err
	}
	iov := iovecPool.Get().(*iovecs)
	defer iovecPool.Put(iov)
	for len(bufs) > 0 {
		n, total := 0, 0
		for n < len(bufs) && n < iovecsMax {
			if len(bufs[n]) > 0 {
				iov.v[n].Base = &bufs[n][0]
			}
			iov.v[n].SetLen(len(bufs[n]))
			total += len(bufs[n])
			n++
		}
		err := o.pwritev(iov.v[:n], total, off)
		runtime.KeepAlive(bufs)
		clear(iov.v[:n])
		if err != nil {
			return wrap("write", o.name, err)
		}
		bufs, off = bufs[n:], off+int64(total)
	}
	return nil
}

// pwritev writes the vector, going on after a short write, which consumes the
// front of it.
func (o *osFile) pwritev(iov []unix.Iovec, total int, off int64) error {
	for total > 0 {
		r, _, errno := unix.Syscall6(unix.SYS_PWRITEV, uintptr(o.fd), uintptr(unsafe.Pointer(&iov[0])),
			uintptr(len(iov)), uintptr(off), 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		n := int(r)
		if n == 0 {
			return io.ErrShortWrite
		}
		total, off = total-n, off+int64(n)
		for n > 0 && n >= int(iov[0].Len) {
			n -= int(iov[0].Len)
			iov = iov[1:]
		}
		if n > 0 {
			iov[0].Base = (*byte)(unsafe.Add(unsafe.Pointer(iov[0].Base), n))
			iov[0].SetLen(int(iov[0].Len) - n)
		}
	}
	return nil
}

func (o *osFile) Datasync() error {
	for {
		err := unix.Fdatasync(o.fd)
		if err != unix.EINTR {
			return wrap("fdatasync", o.name, err)
		}
	}
}

// zeroes is the source of zero bytes; one write is at most this long, so that
// zeroing ahead never holds the inode's lock for long against an append.
var zeroes [256 << 10]byte

func (o *osFile) Zero(off, n int64) error {
	for n > 0 {
		k := min(n, int64(len(zeroes)))
		if _, err := o.WriteAt(zeroes[:k], off); err != nil {
			return err
		}
		off, n = off+k, n-k
	}
	return nil
}

func (o *osFile) Release(off, n int64) error {
	if n <= 0 {
		return nil
	}
	err := unix.Fallocate(o.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return wrap("punch", o.name, err)
}

func (o *osFile) Size() (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(o.fd, &st); err != nil {
		return 0, wrap("stat", o.name, err)
	}
	return st.Size, nil
}

func (o *osFile) Map(n int64) (*Mapping, error) {
	if n <= 0 || int64(int(n)) != n {
		return nil, &fs.PathError{Op: "mmap", Path: o.name, Err: unix.EINVAL}
	}
	m, err := mmap.MapRegion(o.f, int(n), mmap.RDONLY, 0, 0)
	if err != nil {
		return nil, wrap("mmap", o.name, err)
	}
	name := o.name
	return &Mapping{Bytes: m, unmap: unmapOS, load: func(b []byte, n int) error { return wrap("read", name, loadOS(b, n)) }}, nil
}

func unmapOS(b []byte) error {
	m := mmap.MMap(b)
	return m.Unmap()
}

func (o *osFile) Close() error { return wrap("close", o.name, o.f.Close()) }
