package crashtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"chronik/internal/vfs"
)

// register is a store of one number that replaces a file, less one call.
type register struct {
	disk *Disk
	less string // this it forgets

	mu    sync.Mutex
	saved uint64
	next  uint64
}

func (r *register) Step() (string, error) {
	r.mu.Lock()
	r.next++
	r.mu.Unlock()
	err := write(r.disk, r.less, r.next)
	if r.less == "error" && errors.Is(err, ErrInjected) {
		err = nil
	}
	if err == nil {
		r.mu.Lock()
		r.saved = r.next
		r.mu.Unlock()
	}
	return "write", err
}

// write makes v the content of the file, durably unless less is forgotten.
func write(fsys vfs.FS, less string, v uint64) error {
	b := binary.LittleEndian.AppendUint64(nil, v)
	b = append(b, make([]byte, 6000)...)
	b = binary.LittleEndian.AppendUint64(b, v)
	fsys.Remove("/d/tmp")
	f, err := fsys.Create("/d/tmp")
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(b, 0); err != nil {
		return err
	}
	if less != "datasync" {
		if err = f.Datasync(); err != nil {
			return err
		}
	}
	if err = fsys.Rename("/d/tmp", "/d/register"); err != nil {
		return err
	}
	if less != "syncdir" {
		return fsys.SyncDir("/d")
	}
	return nil
}

func (r *register) End() {}

func (r *register) Now() Check {
	r.mu.Lock()
	defer r.mu.Unlock()
	saved, next := r.saved, r.next
	return func(fsys vfs.FS, settled func(string)) error {
		b, err := vfs.ReadFile(fsys, "/d/register", 1<<20)
		v := uint64(0)
		if err == nil {
			if len(b) < 16 {
				return Wrongf("%d bytes", len(b))
			}
			if v = binary.LittleEndian.Uint64(b); v != binary.LittleEndian.Uint64(b[len(b)-8:]) {
				return Wrongf("half of %d", v)
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if v < saved || v > next {
			return Wrongf("%d, saved %d of %d", v, saved, next)
		}
		if r.less != "reopen" { // a name that was found may not be durable yet
			if err := fsys.SyncDir("/d"); err != nil {
				return err
			}
		}
		settled(fmt.Sprint(v))
		return write(fsys, r.less, v+1)
	}
}

// TestCampaignFindsWhatIsForgotten: each call is needed, and a campaign knows.
func TestCampaignFindsWhatIsForgotten(t *testing.T) {
	for less, want := range map[string]string{"": "", "datasync": "power lost before", "syncdir": "power lost before", "reopen": "lost again after recovery", "error": "saved"} {
		c := Campaign{Steps: 4, Again: 2, New: func(_ uint64, disk *Disk) Workload {
			disk.Mem.MkdirAll("/d")
			return &register{disk: disk, less: less}
		}}
		y := newTally()
		var err error
		for seed := uint64(1); seed <= 16 && err == nil; seed++ {
			err = c.run(seed, nil, y)
			for at := 0; at < 24 && err == nil; at++ {
				err = c.run(seed, &fault{at: at, calls: 1, kind: int(seed), seen: y.faults}, y)
			}
		}
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("without %q: %v, want %q", less, err, want)
		}
		if less == "" && (y.kinds["write"] < 500 || y.again == 0 || y.stable == 0 || y.faults["datasync"] == 0) {
			t.Errorf("checked %+v", y)
		}
	}
}

// TestErrorWithoutFault: an error that nothing explains is a failure.
func TestErrorWithoutFault(t *testing.T) {
	c := Campaign{Steps: 1, New: func(uint64, *Disk) Workload { return broken{} }}
	if err := c.run(1, nil, newTally()); err == nil || !strings.Contains(err.Error(), "no call did") {
		t.Error(err)
	}
}

type broken struct{}

func (broken) Step() (string, error) { return "write", errors.New("out of order") }
func (broken) Now() Check            { return nil }
func (broken) End()                  {}
