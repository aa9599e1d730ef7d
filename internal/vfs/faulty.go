package vfs

import (
	"errors"
	"io"
)

// Faults that do half of the work; a rule returns them wrapped around nothing or
// with others.
var (
	// ErrShortWrite is a write that fails after the first half of its bytes.
	ErrShortWrite = errors.New("vfs: injected: short write")
	// ErrForgotten is a sync that fails and after which no later one writes
	// those bytes, unless they are written again: they are in memory only and
	// not marked so any more. Over a Mem; elsewhere it just fails.
	ErrForgotten = errors.New("vfs: injected: the sync failed and the bytes are forgotten")
	// ErrUnloaded is no error: pages that were to be loaded are left to the
	// fault of the first touch.
	ErrUnloaded = errors.New("vfs: injected: pages not loaded")
)

// Op names a call for the rule of a Faulty file system.
type Op string

// The operations a rule is asked about.
const (
	OpCreate   Op = "create"
	OpOpen     Op = "open"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpMkdir    Op = "mkdir"
	OpReadDir  Op = "readdir"
	OpSyncDir  Op = "syncdir"
	OpLock     Op = "lock"
	OpStat     Op = "stat"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpDatasync Op = "datasync"
	OpWaitOut  Op = "waitout"
	OpZero     Op = "zero"
	OpRelease  Op = "release"
	OpMap      Op = "map"
	OpLoad     Op = "load" // of pages of a mapping: a fault under it, as an error
)

// Faulty passes calls on to FS unless Rule returns an error, which the call
// then returns without having done anything, but for the faults above. Rule may be called from many
// goroutines.
type Faulty struct {
	FS
	Rule func(op Op, name string) error
}

// NewFaulty wraps fsys.
func NewFaulty(fsys FS, rule func(op Op, name string) error) *Faulty {
	return &Faulty{FS: fsys, Rule: rule}
}

func (f *Faulty) file(name string, op Op, open func(string) (File, error)) (File, error) {
	if err := f.Rule(op, name); err != nil {
		return nil, err
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, name: name, rule: f.Rule}, nil
}

// Create implements FS.
func (f *Faulty) Create(name string) (File, error) { return f.file(name, OpCreate, f.FS.Create) }

// Open implements FS.
func (f *Faulty) Open(name string) (File, error) { return f.file(name, OpOpen, f.FS.Open) }

// OpenReadOnly implements FS.
func (f *Faulty) OpenReadOnly(name string) (File, error) {
	return f.file(name, OpOpen, f.FS.OpenReadOnly)
}

// Rename implements FS.
func (f *Faulty) Rename(from, to string) error {
	if err := f.Rule(OpRename, to); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

// Remove implements FS.
func (f *Faulty) Remove(name string) error {
	if err := f.Rule(OpRemove, name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// MkdirAll implements FS.
func (f *Faulty) MkdirAll(dir string) error {
	if err := f.Rule(OpMkdir, dir); err != nil {
		return err
	}
	return f.FS.MkdirAll(dir)
}

// ReadDir implements FS.
func (f *Faulty) ReadDir(dir string) ([]string, error) {
	if err := f.Rule(OpReadDir, dir); err != nil {
		return nil, err
	}
	return f.FS.ReadDir(dir)
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(dir string) error {
	if err := f.Rule(OpSyncDir, dir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

// Lock implements FS.
func (f *Faulty) Lock(name string) (io.Closer, error) {
	if err := f.Rule(OpLock, name); err != nil {
		return nil, err
	}
	return f.FS.Lock(name)
}

// Stat implements FS.
func (f *Faulty) Stat(name string) (Info, error) {
	if err := f.Rule(OpStat, name); err != nil {
		return Info{}, err
	}
	return f.FS.Stat(name)
}

type faultyFile struct {
	File
	name string
	rule func(op Op, name string) error
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.rule(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.rule(OpWrite, f.name); err != nil {
		return 0, f.short([][]byte{p}, off, err)
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Writev(bufs [][]byte, off int64) error {
	if err := f.rule(OpWrite, f.name); err != nil {
		return f.short(bufs, off, err)
	}
	return f.File.Writev(bufs, off)
}

// short writes the first half of the bytes if that is what err asks for.
func (f *faultyFile) short(bufs [][]byte, off int64, err error) error {
	if !errors.Is(err, ErrShortWrite) {
		return err
	}
	left := 0
	for _, b := range bufs {
		left += len(b)
	}
	left = (left + 1) / 2
	for _, b := range bufs {
		b = b[:min(len(b), left)]
		if _, werr := f.File.WriteAt(b, off); werr != nil {
			return errors.Join(err, werr)
		}
		off, left = off+int64(len(b)), left-len(b)
	}
	return err
}

func (f *faultyFile) Datasync() error {
	if err := f.rule(OpDatasync, f.name); err != nil {
		if m, ok := f.File.(*memFile); ok && errors.Is(err, ErrForgotten) {
			m.forget()
		}
		return err
	}
	return f.File.Datasync()
}

func (f *faultyFile) WaitOut(off, n int64) error {
	if err := f.rule(OpWaitOut, f.name); err != nil {
		if m, ok := f.File.(*memFile); ok && errors.Is(err, ErrForgotten) {
			m.forget()
		}
		return err
	}
	return f.File.WaitOut(off, n)
}

func (f *faultyFile) Zero(off, n int64) error {
	if err := f.rule(OpZero, f.name); err != nil {
		return err
	}
	return f.File.Zero(off, n)
}

func (f *faultyFile) Release(off, n int64) error {
	if err := f.rule(OpRelease, f.name); err != nil {
		return err
	}
	return f.File.Release(off, n)
}

func (f *faultyFile) Map(n int64) (*Mapping, error) {
	if err := f.rule(OpMap, f.name); err != nil {
		return nil, err
	}
	m, err := f.File.Map(n)
	if err != nil {
		return nil, err
	}
	load := m.load
	m.load = func(b []byte, n int) error {
		switch err := f.rule(OpLoad, f.name); {
		case errors.Is(err, ErrUnloaded) || err == nil && load == nil:
			return nil
		case err != nil:
			return err
		}
		return load(b, n)
	}
	return m, nil
}
