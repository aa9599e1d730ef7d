package vfs

import (
	"io"
	"io/fs"
)

// memFile is an open file of a Mem.
type memFile struct {
	m        *Mem
	node     *memNode
	name     string
	readOnly bool
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off < 0 || off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// write puts p (or n zeroes when p is nil) at off; f.m.mu is held.
func (f *memFile) write(p []byte, off, n int64) error {
	if f.readOnly {
		return &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrPermission}
	}
	if off < 0 {
		return &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrInvalid}
	}
	node, end := f.node, off+n
	if grow := end - int64(len(node.data)); grow > 0 {
		if f.m.capacity > 0 && f.m.used+grow > f.m.capacity {
			return &fs.PathError{Op: "write", Path: f.name, Err: ErrNoSpace}
		}
		f.m.used += grow
		node.grow(end)
	}
	if p == nil {
		clear(node.data[off:end])
	} else {
		copy(node.data[off:end], p)
	}
	for page := off / PageSize; page*PageSize < end; page++ {
		node.dirty[page] = struct{}{}
	}
	return nil
}

// grow makes the file size bytes long without moving it when a mapping has
// reserved the room.
func (n *memNode) grow(size int64) {
	if size <= int64(cap(n.data)) {
		n.data = n.data[:size]
		return
	}
	next := make([]byte, size, max(size, int64(2*cap(n.data))))
	copy(next, n.data)
	n.data = next
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.write(p, off, int64(len(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *memFile) Writev(bufs [][]byte, off int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		if err := f.write(b, off, int64(len(b))); err != nil {
			return err
		}
		off += int64(len(b))
	}
	return nil
}

func (f *memFile) Zero(off, n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.write(nil, off, n)
}

func (f *memFile) Release(off, n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	end := min(off+n, int64(len(f.node.data)))
	if off >= end {
		return nil
	}
	for page := (off + PageSize - 1) / PageSize; (page+1)*PageSize <= end; page++ {
		delete(f.node.solid, page)
	}
	return f.write(nil, off, end-off)
}

func (f *memFile) Datasync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	n := f.node
	if grow := len(n.data) - len(n.durable); grow > 0 {
		n.durable = append(n.durable, make([]byte, grow)...)
	}
	for page := range n.dirty {
		lo := page * PageSize
		hi := min(lo+PageSize, int64(len(n.data)))
		if lo < hi {
			copy(n.durable[lo:hi], n.data[lo:hi])
			n.solid[page] = struct{}{}
		}
		delete(n.out, page)
	}
	clear(n.dirty)
	f.m.flush()
	return nil
}

// forget is a sync that failed the way Linux has them fail: the bytes are not
// on the disk, and are marked as if they were, so that no later sync writes
// them.
func (f *memFile) forget() {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	clear(f.node.dirty)
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.node.data)), nil
}

// Map reserves room for n bytes, so that later growth does not move the file
// from under the mapping. A mapping made before a larger one no longer follows
// later writes; the bytes it shows do not change.
func (f *memFile) Map(n int64) (*Mapping, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if n <= 0 {
		return nil, &fs.PathError{Op: "mmap", Path: f.name, Err: fs.ErrInvalid}
	}
	node := f.node
	if int64(cap(node.data)) < n {
		next := make([]byte, len(node.data), n)
		copy(next, node.data)
		node.data = next
	}
	return &Mapping{Bytes: node.data[:n:n]}, nil
}

func (f *memFile) Close() error { return nil }
