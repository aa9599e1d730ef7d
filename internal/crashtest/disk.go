package crashtest

import (
	"errors"
	"fmt"
	"sync"

	"chronik/internal/vfs"
)

// ErrInjected is under every fault that a campaign injects.
var ErrInjected = errors.New("crashtest: injected")

// faults are what a call may fail with, by operation; the zero Op is for the
// others. Each wraps ErrInjected.
var faults = map[vfs.Op][]error{
	vfs.OpWrite:    {errIO, errors.Join(ErrInjected, vfs.ErrShortWrite), errFull, errors.Join(ErrInjected, vfs.ErrShortWrite, vfs.ErrNoSpace)},
	vfs.OpZero:     {errIO, errFull},
	vfs.OpCreate:   {errIO, errFull},
	vfs.OpRename:   {errIO, errFull},
	vfs.OpDatasync: {errIO, errors.Join(ErrInjected, vfs.ErrForgotten), errFull},
	vfs.OpWaitOut:  {errIO, errors.Join(ErrInjected, vfs.ErrForgotten), errFull},
	vfs.OpSyncDir:  {errIO, errFull},
	vfs.OpRelease:  {errIO, errFull},
	"":             {errIO},
}

var (
	errIO   = fmt.Errorf("%w: input/output error", ErrInjected)
	errFull = fmt.Errorf("%w: %w", ErrInjected, vfs.ErrNoSpace)
)

// kindsOfFault is how many different faults an operation has at most.
const kindsOfFault = 4

// Disk is a file system in memory that tells of every call, and fails one.
type Disk struct {
	*vfs.Faulty
	Mem *vfs.Mem

	mu      sync.Mutex
	calls   []vfs.Op
	changes int
	watch   func(call string) // before each call that changes the disk; nil: nobody
	fault   *fault
}

// fault fails calls from number at on.
type fault struct {
	at, calls int // calls: how many fail, one after the other
	kind      int
	fired     string // the call that failed first; "" while none has
	seen      map[string]int
}

func newDisk(m *vfs.Mem) *Disk {
	d := &Disk{Mem: m}
	d.Faulty = vfs.NewFaulty(m, d.rule)
	return d
}

// changing tells whether an operation may leave another image behind.
func changing(op vfs.Op) bool {
	switch op {
	case vfs.OpRead, vfs.OpMap, vfs.OpStat, vfs.OpReadDir, vfs.OpOpen, vfs.OpLock, vfs.OpMkdir, vfs.OpLoad:
		return false
	}
	return true
}

// Changes is how many calls have been made that may change the disk.
func (d *Disk) Changes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

// Cut loses power for good: the disk is from now on what that leaves, which
// differs with the seed. Nobody may have a file of it open any more.
func (d *Disk) Cut(seed uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Mem = d.Mem.Crash(seed)
	d.Faulty.FS = d.Mem
}

func (d *Disk) rule(op vfs.Op, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	call := fmt.Sprint(op, " ", name)
	n := len(d.calls)
	d.calls = append(d.calls, op)
	if changing(op) {
		d.changes++
		if d.watch != nil {
			d.watch(call)
		}
	}
	f := d.fault
	if f == nil || n < f.at || n >= f.at+f.calls {
		return nil
	}
	list := faults[op]
	if list == nil {
		list = faults[""]
	}
	err := list[f.kind%len(list)]
	if f.fired == "" {
		f.fired = fmt.Sprintf("call %d, %s: %v", n, call, err)
	}
	f.seen[string(op)]++
	return fmt.Errorf("%s: %w", call, err)
}

// Fired tells whether the fault has been injected.
func (d *Disk) Fired() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fault != nil && d.fault.fired != ""
}
