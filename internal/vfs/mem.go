package vfs

import (
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// Mem is a file system in memory that knows which bytes and names would
// survive a power cut.
type Mem struct {
	mu       sync.Mutex
	dirs     map[string]*memDir
	gone     map[string]*memDir // removed, and their parents not synced since
	locks    map[string]bool
	capacity int64 // bytes; 0 is without limit
	used     int64
	device   Device
	out      map[*memNode]struct{} // those with pages written out and not flushed
}

// memDir holds the names now, the durable ones, and the changes in between in
// the order they were made.
type memDir struct {
	now, durable map[string]*memNode
	pending      []memChange
}

// memChange is one creation, removal or rename: names that changed together.
type memChange struct {
	names []string
	nodes []*memNode // nil: the name is gone
}

type memNode struct {
	data    []byte // contents now; len is the size
	durable []byte
	dirty   map[int64]struct{} // pages that differ from durable
	solid   map[int64]struct{} // pages whose extents are written and durable
	out     map[int64][]byte   // pages as they are in the device's cache
}

func newMemNode(data, durable []byte) *memNode {
	return &memNode{data: data, durable: durable, dirty: map[int64]struct{}{}, solid: map[int64]struct{}{}, out: map[int64][]byte{}}
}

// memDevices counts the file systems made: each is a device of its own.
var memDevices atomic.Uint64

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{dirs: map[string]*memDir{"/": newMemDir(), ".": newMemDir()}, gone: map[string]*memDir{}, locks: map[string]bool{},
		out: map[*memNode]struct{}{}, device: Device(1<<63 | memDevices.Add(1))}
}

func newMemDir() *memDir {
	return &memDir{now: map[string]*memNode{}, durable: map[string]*memNode{}}
}

// SetCapacity limits the bytes all files may hold together; writes beyond it
// fail with ErrNoSpace. 0 removes the limit.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	m.capacity = bytes
	m.mu.Unlock()
}

// Crash returns what a machine would find after losing power now: the durable
// image, a random subset of the unsynced pages, for some files in pieces down
// to 8 bytes, and a random subset of the unsynced directory changes. A file that
// grew may have its new size without the bytes. The receiver is not changed.
// Equal seeds give equal images for equal histories.
func (m *Mem) Crash(seed uint64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := rand.New(rand.NewPCG(seed, 0x6372617368))
	out := NewMem()
	copies := map[*memNode]*memNode{}
	dirNames := make([]string, 0, len(m.dirs)+len(m.gone))
	for name := range m.dirs {
		dirNames = append(dirNames, name)
	}
	for name := range m.gone {
		dirNames = append(dirNames, name)
	}
	sort.Strings(dirNames)
	for _, name := range dirNames {
		d, nd := m.dirs[name], newMemDir()
		if d == nil {
			if r.IntN(2) == 0 {
				continue
			}
			d = m.gone[name]
		}
		survivors := d.crash(r)
		files := make([]string, 0, len(survivors))
		for f := range survivors {
			files = append(files, f)
		}
		sort.Strings(files)
		for _, f := range files {
			node := survivors[f]
			if copies[node] == nil {
				copies[node] = node.crash(r)
				out.used += int64(len(copies[node].data))
			}
			nd.now[f], nd.durable[f] = copies[node], copies[node]
		}
		out.dirs[name] = nd
	}
	return out
}

// crash picks the directory changes that reached the disk: all before a random
// point, and half of the time some after it, since only a sync orders them.
func (d *memDir) crash(r *rand.Rand) map[string]*memNode {
	names := make(map[string]*memNode, len(d.durable))
	for k, v := range d.durable {
		names[k] = v
	}
	upTo, reorder := r.IntN(len(d.pending)+1), r.IntN(2) == 0
	for i, c := range d.pending {
		if i >= upTo && !(reorder && r.IntN(2) == 0) {
			continue
		}
		c.apply(names)
	}
	return names
}

func (c memChange) apply(names map[string]*memNode) {
	for i, n := range c.names {
		if c.nodes[i] == nil {
			delete(names, n)
		} else {
			names[n] = c.nodes[i]
		}
	}
}

// crash keeps what is durable and, of the dirty pages, the pieces that reached
// the disk.
func (n *memNode) crash(r *rand.Rand) *memNode {
	out := append([]byte(nil), n.durable...)
	if grown := len(n.data) - len(out); grown > 0 && r.IntN(4) == 0 {
		out = append(out, make([]byte, grown)...)
	}
	pages := make([]int64, 0, len(n.dirty))
	for p := range n.dirty {
		pages = append(pages, p)
	}
	sort.Slice(pages, func(i, j int) bool { return pages[i] < pages[j] })
	next := newMemNode(nil, nil)
	maps.Copy(next.solid, n.solid)
	out = n.crashOut(r, out)
	keep := r.IntN(5) // 0: none survive, 4: all do
	piece := [...]int64{PageSize, PageSize, PageSize, 512, 8}[r.IntN(5)]
	for _, p := range pages {
		for lo := p * PageSize; lo < (p+1)*PageSize; lo += piece {
			if r.IntN(4) >= keep {
				continue
			}
			hi := min(lo+piece, int64(len(n.data)))
			if lo >= hi {
				continue
			}
			if grown := hi - int64(len(out)); grown > 0 {
				out = append(out, make([]byte, grown)...)
			}
			copy(out[lo:hi], n.data[lo:hi])
			next.solid[p] = struct{}{}
		}
	}
	next.data, next.durable = out, append([]byte(nil), out...)
	return next
}

func clean(name string) string { return path.Clean(name) }

func (m *Mem) dirOf(op, name string) (*memDir, string, error) {
	d := m.dirs[path.Dir(name)]
	if d == nil {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return d, path.Base(name), nil
}

func (d *memDir) change(c memChange) {
	d.pending = append(d.pending, c)
	c.apply(d.now)
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = clean(name)
	d, base, err := m.dirOf("open", name)
	if err != nil {
		return nil, err
	}
	if d.now[base] != nil || m.dirs[name] != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	}
	node := newMemNode(nil, nil)
	d.change(memChange{names: []string{base}, nodes: []*memNode{node}})
	return &memFile{m: m, node: node, name: name}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// OpenReadOnly implements FS.
func (m *Mem) OpenReadOnly(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, readOnly bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = clean(name)
	d, base, err := m.dirOf("open", name)
	if err != nil {
		return nil, err
	}
	node := d.now[base]
	if node == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{m: m, node: node, name: name, readOnly: readOnly}, nil
}

// Rename implements FS, within one directory.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to = clean(from), clean(to)
	d, base, err := m.dirOf("rename", from)
	if err != nil {
		return err
	}
	node := d.now[base]
	if node == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if path.Dir(from) != path.Dir(to) {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrInvalid}
	}
	if old := d.now[path.Base(to)]; old != nil {
		m.used -= int64(len(old.data))
	}
	d.change(memChange{names: []string{base, path.Base(to)}, nodes: []*memNode{nil, node}})
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = clean(name)
	if d := m.dirs[name]; d != nil {
		if len(d.now) > 0 {
			return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrInvalid}
		}
		m.gone[name] = d
		delete(m.dirs, name)
		return nil
	}
	d, base, err := m.dirOf("remove", name)
	if err != nil {
		return err
	}
	node := d.now[base]
	if node == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	m.used -= int64(len(node.data))
	d.change(memChange{names: []string{base}, nodes: []*memNode{nil}})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for dir = clean(dir); m.dirs[dir] == nil; dir = path.Dir(dir) {
		m.dirs[dir] = newMemDir()
		delete(m.gone, dir)
	}
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = clean(dir)
	d := m.dirs[dir]
	if d == nil {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: fs.ErrNotExist}
	}
	var names []string
	for n := range d.now {
		names = append(names, n)
	}
	prefix := strings.TrimSuffix(dir, "/") + "/"
	for n := range m.dirs {
		if rest, ok := strings.CutPrefix(n, prefix); ok && rest != "" && !strings.Contains(rest, "/") {
			names = append(names, rest)
		}
	}
	sort.Strings(names)
	return names, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirs[clean(dir)]
	if d == nil {
		return &fs.PathError{Op: "syncdir", Path: dir, Err: fs.ErrNotExist}
	}
	for _, c := range d.pending {
		c.apply(d.durable)
	}
	d.pending = nil
	for name := range m.gone {
		if path.Dir(name) == clean(dir) {
			delete(m.gone, name)
		}
	}
	return nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = clean(name)
	if m.locks[name] {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	m.locks[name] = true
	return &memLock{m: m, name: name}, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = clean(name)
	if m.dirs[name] != nil {
		return Info{IsDir: true}, nil
	}
	d, base, err := m.dirOf("stat", name)
	if err != nil {
		return Info{}, err
	}
	if node := d.now[base]; node != nil {
		return Info{Size: int64(len(node.data))}, nil
	}
	return Info{}, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// Usage implements FS.
func (m *Mem) Usage(string) (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := m.capacity
	if total == 0 {
		total = 1 << 40
	}
	return Usage{Total: total, Free: max(0, total-m.used)}, nil
}
