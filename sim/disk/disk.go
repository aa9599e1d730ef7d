package disk

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/vfs"
)

// ErrGone is every call of a Mount whose process has ended.
var ErrGone = errors.New("disk: the process has ended")

// ErrSync is a sync that has failed.
var ErrSync = errors.New("disk: I/O error")

// Disk is what is left when a process ends.
type Disk struct {
	// Late says of a file that has been synced truly n times how long after its
	// next sync has been answered that is done; 0: it is answered when it is done.
	// Nil: all are.
	Late func(name string, n int) time.Duration

	mem     *vfs.Mem
	mount   *Mount
	delay   atomic.Int64 // ns
	failing atomic.Bool

	mu    sync.Mutex
	syncs map[string]int // true ones, by file
}

// SetDelay says how long a sync takes.
func (d *Disk) SetDelay(delay time.Duration) { d.delay.Store(int64(delay)) }

// New is an empty disk.
func New() *Disk { return &Disk{mem: vfs.NewMem(), syncs: map[string]int{}} }

// SetFailing says whether syncs fail, and tells whether they did.
func (d *Disk) SetFailing(failing bool) (was bool) { return d.failing.Swap(failing) }

// Mount ends the process that had the disk, if any, and hands it to another.
func (d *Disk) Mount() *Mount {
	d.Kill()
	d.mount = &Mount{Mem: d.mem, disk: d}
	return d.mount
}

// Kill is the end of the process: what it wrote is kept by the kernel.
func (d *Disk) Kill() {
	if d.mount != nil {
		d.mount.gone.Store(true)
		d.mount = nil
	}
}

// PowerCut is the end of the machine. Equal seeds leave the same.
func (d *Disk) PowerCut(seed uint64) {
	d.Kill()
	d.mem = d.mem.Crash(seed)
}

// Mount is the disk as one process sees it.
type Mount struct {
	*vfs.Mem
	disk *Disk
	gone atomic.Bool
}

var _ vfs.FS = (*Mount)(nil)

func (m *Mount) check() error {
	if m.gone.Load() {
		return ErrGone
	}
	return nil
}

func (m *Mount) open(name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	return &file{File: f, mount: m, name: name}, nil
}

// Create implements vfs.FS.
func (m *Mount) Create(name string) (vfs.File, error) { return m.open(name, m.Mem.Create) }

// Open implements vfs.FS.
func (m *Mount) Open(name string) (vfs.File, error) { return m.open(name, m.Mem.Open) }

// OpenReadOnly implements vfs.FS.
func (m *Mount) OpenReadOnly(name string) (vfs.File, error) { return m.open(name, m.Mem.OpenReadOnly) }

// Rename implements vfs.FS.
func (m *Mount) Rename(from, to string) error {
	if err := m.check(); err != nil {
		return err
	}
	return m.Mem.Rename(from, to)
}

// Remove implements vfs.FS.
func (m *Mount) Remove(name string) error {
	if err := m.check(); err != nil {
		return err
	}
	return m.Mem.Remove(name)
}

// MkdirAll implements vfs.FS.
func (m *Mount) MkdirAll(dir string) error {
	if err := m.check(); err != nil {
		return err
	}
	return m.Mem.MkdirAll(dir)
}

// ReadDir implements vfs.FS.
func (m *Mount) ReadDir(dir string) ([]string, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return m.Mem.ReadDir(dir)
}

// SyncDir implements vfs.FS.
func (m *Mount) SyncDir(dir string) error {
	if err := m.check(); err != nil {
		return err
	}
	return m.Mem.SyncDir(dir)
}

// Lock implements vfs.FS.
func (m *Mount) Lock(name string) (io.Closer, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return m.Mem.Lock(name)
}

// Stat implements vfs.FS.
func (m *Mount) Stat(name string) (vfs.Info, error) {
	if err := m.check(); err != nil {
		return vfs.Info{}, err
	}
	return m.Mem.Stat(name)
}

type file struct {
	vfs.File
	mount *Mount
	name  string
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.mount.check(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.mount.check(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *file) Writev(bufs [][]byte, off int64) error {
	if err := f.mount.check(); err != nil {
		return err
	}
	return f.File.Writev(bufs, off)
}

func (f *file) Zero(off, n int64) error {
	if err := f.mount.check(); err != nil {
		return err
	}
	return f.File.Zero(off, n)
}

func (f *file) Release(off, n int64) error {
	if err := f.mount.check(); err != nil {
		return err
	}
	return f.File.Release(off, n)
}

func (f *file) WaitOut(off, n int64) error {
	if err := f.mount.check(); err != nil {
		return err
	}
	if f.late() > 0 {
		return nil
	}
	return f.File.WaitOut(off, n)
}

func (f *file) late() time.Duration {
	d := f.mount.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Late == nil {
		return 0
	}
	return d.Late(f.name, d.syncs[f.name])
}

func (d *Disk) synced(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs[name]++
}

// Datasync checks for the end of the process before and after the delay: a sync
// under way when the process ends is never answered.
func (f *file) Datasync() error {
	if err := f.mount.check(); err != nil {
		return err
	}
	if delay := time.Duration(f.mount.disk.delay.Load()); delay > 0 {
		<-time.After(delay)
		if err := f.mount.check(); err != nil {
			return err
		}
	}
	if f.mount.disk.failing.Load() {
		return ErrSync
	}
	if late := f.late(); late > 0 {
		time.AfterFunc(late, func() {
			if f.mount.check() == nil {
				_ = f.File.Datasync() // nobody waits for it
			}
		})
		return nil
	}
	f.mount.disk.synced(f.name)
	return f.File.Datasync()
}
