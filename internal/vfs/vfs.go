package vfs

import (
	"errors"
	"io"
	"io/fs"
)

// Errors of this package. Others are the operating system's, wrapped with
// operation and path; errors.Is(err, fs.ErrNotExist) and fs.ErrExist work.
var (
	// ErrNoSpace is a full disk or an exhausted quota; of Create, Open, Map
	// and SyncDir also a limit on open files or mappings. It is not SyncDir's or
	// Datasync's when these have begun. What it is returned for has not been
	// done, and may be later.
	ErrNoSpace = errors.New("vfs: no space left on device")
	// ErrLocked is a lock held by another process or another Lock of this one.
	ErrLocked = errors.New("vfs: locked by another process")
)

// PageSize is the unit in which the model of a power cut (Mem.Crash) keeps or
// loses unsynced bytes.
const PageSize = 4096

// FS is a tree of files. Names are slash-separated paths.
type FS interface {
	// Create makes a new file, open for reading and writing; it is
	// fs.ErrExist when the name is taken. The name is durable after SyncDir.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// OpenReadOnly opens an existing file for reading.
	OpenReadOnly(name string) (File, error)
	// Rename gives a file another name, replacing what had it, atomically.
	// Durable after SyncDir of the directory.
	Rename(from, to string) error
	// Remove removes a file or an empty directory. Open files and mappings
	// of it stay usable.
	Remove(name string) error
	// MkdirAll makes a directory and its parents, and makes their names
	// durable, its own also when it is there.
	MkdirAll(dir string) error
	// ReadDir lists the names in a directory, sorted.
	ReadDir(dir string) ([]string, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock takes the named file as an exclusive lock, creating it when
	// needed; ErrLocked when it is taken. Closing gives it back.
	Lock(name string) (io.Closer, error)
	// Stat describes a file or directory.
	Stat(name string) (Info, error)
	// Usage describes the file system that holds the path.
	Usage(name string) (Usage, error)
}

// Device names a device among those that this process writes to.
type Device uint64

// Info describes a file.
type Info struct {
	Size  int64 // bytes
	IsDir bool
}

// Usage is the room of a file system in bytes.
type Usage struct {
	Total, Free int64
}

// File is an open file. There is no cursor and no truncation.
type File interface {
	io.ReaderAt
	// WriteAt writes p at off, all of it or an error.
	WriteAt(p []byte, off int64) (int, error)
	// Writev writes the buffers back to back at off, all of them or an error
	// after which any part may have been written. The buffers belong to the
	// caller again when it returns; it allocates nothing.
	Writev(bufs [][]byte, off int64) error
	// WriteOut asks that the bytes begin to be written to the device, without
	// waiting: a hint, so that a Datasync to come has less to wait for. It
	// makes nothing durable and reports nothing; Datasync does both.
	WriteOut(off, n int64)
	// WaitOut returns once the bytes in a range have been written to the
	// device, starting what WriteOut has not. They are durable once a Datasync
	// of any file of the same Device has succeeded that began after that, if
	// the file's size and extents there were durable before: written and
	// synced, be it zeroes. An error is one of Datasync's.
	WaitOut(off, n int64) error
	// Device names the device whose cache a Datasync of any of its files
	// empties; 0 when it is not known that what WaitOut says holds. A file
	// system that leaves its place when it is written to has none.
	Device() Device
	// Datasync makes everything written before the call durable, the size
	// included. After an error nothing is known about any of it and calling
	// again proves nothing.
	Datasync() error
	// Zero writes n zero bytes at off, so that the extents are allocated,
	// written and inside of the file. Not durable before Datasync.
	Zero(off, n int64) error
	// Release gives the space of n bytes at off back to the file system
	// where that is possible; the bytes read as zero afterwards, the size
	// stays. Where it is not possible it does nothing.
	Release(off, n int64) error
	// Size is the file's present size in bytes.
	Size() (int64, error)
	// Map maps the first n bytes for reading. n may exceed the present size:
	// bytes beyond it must not be touched before the file has grown.
	Map(n int64) (*Mapping, error)
	// Close closes the descriptor, not the mappings.
	Close() error
}

// Mapping is a read-only view of a file that follows what is written to it.
type Mapping struct {
	// Bytes are the mapped bytes. They must not be written to, nor used
	// after Close.
	Bytes []byte
	unmap func([]byte) error
	load  func(b []byte, n int) error // has the first n of b in memory, the others soon; nil: they always are
}

// Load returns once the pages of Bytes[from:to] are in memory. If they are
// not, it waits for the disk in a system call: a page fault would hold up the
// other goroutines of the thread's processor as well. Those from there to ahead
// are asked for, and not waited for. Pages may leave memory again at any time.
// When all are there it costs about as much as any system call. The range must
// lie inside of the file, whose damage or device's failure is the error.
func (m *Mapping) Load(from, to, ahead int64) error {
	if from >= to || m.load == nil {
		return nil
	}
	first := from &^ (pageSize - 1)
	return m.load(m.Bytes[first:max(to, ahead)], int(to-first))
}

// Close unmaps. A use of Bytes afterwards kills the process.
func (m *Mapping) Close() error {
	b := m.Bytes
	m.Bytes = nil
	if b == nil || m.unmap == nil {
		return nil
	}
	return m.unmap(b)
}

// ReadFile reads a whole file, refusing one larger than sizeMax bytes.
func ReadFile(fsys FS, name string, sizeMax int64) ([]byte, error) {
	f, err := fsys.OpenReadOnly(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > sizeMax {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("file too large")}
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !(errors.Is(err, io.EOF) && n == len(b)) {
		return nil, err
	}
	return b, nil
}

// ReplaceFile gives the named file in dir the content b, atomically and
// durably: the old or the new content is there after a crash, never a mixture.
// tmp is a name in the same directory that nothing else uses.
func ReplaceFile(fsys FS, dir, tmp, name string, b []byte) error {
	if err := WriteFile(fsys, dir+"/"+tmp, b); err != nil {
		return err
	}
	if err := fsys.Rename(dir+"/"+tmp, dir+"/"+name); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// WriteFile makes a file with the content b, durable but for its name, in place
// of what has the name. After an error there is none.
func WriteFile(fsys FS, path string, b []byte) error {
	f, err := fsys.Create(path)
	if errors.Is(err, fs.ErrExist) {
		if err = fsys.Remove(path); err != nil {
			return err
		}
		f, err = fsys.Create(path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Datasync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		fsys.Remove(path) // a leftover is harmless; the next one removes it too
	}
	return err
}
