package flush

import (
	"sync"
	"sync/atomic"

	"chronik/internal/vfs"
)

// startsPerHelper is how many write-outs are begun by one goroutine: each is a
// short system call, worth dividing only when there are many.
const startsPerHelper = 8

// outMember is one that is written out.
type outMember struct {
	Member
	dev     vfs.Device
	err     error
	flushed bool // by its device's flush; err says how that went
}

// round is the work of one round and what rounds share.
type round struct {
	members []Member
	outs    []outMember // written out, then flushed
	syncs   []Member    // synced each by itself

	nextStart, nextSync atomic.Int64
	starting, helping   sync.WaitGroup

	helpers int
	work    chan struct{} // one receive is one goroutine's share of a round
	clean   map[vfs.Device]vfs.File
}

// run makes the members durable and tells each how it went.
func (r *round) run(parallel int) Round {
	r.outs, r.syncs = r.outs[:0], r.syncs[:0]
	for _, m := range r.members {
		switch dev, ok := m.Begin(len(r.members) == 1); {
		case ok && dev != 0:
			r.outs = append(r.outs, outMember{Member: m, dev: dev})
		case ok:
			r.syncs = append(r.syncs, m)
		}
	}
	n := Round{Logs: len(r.outs) + len(r.syncs), Flushed: len(r.outs)}
	starts := len(r.outs)
	if starts == 1 {
		starts = 0 // WaitOut does it all
	}
	r.nextStart.Store(int64(len(r.outs) - starts))
	r.nextSync.Store(0)
	r.starting.Add(starts)
	r.help(min(parallel-1, len(r.syncs)+(starts+startsPerHelper-1)/startsPerHelper))
	r.start()
	r.starting.Wait() // before any End
	for i := range r.outs {
		r.outs[i].err = r.outs[i].WaitOut()
	}
	r.flush()
	r.sync()
	r.helping.Wait()
	clear(r.members)
	clear(r.outs)
	clear(r.syncs)
	return n
}

// help has n goroutines take their share beside the caller, which has one too.
func (r *round) help(n int) {
	if len(r.outs) == 0 {
		n = min(n, len(r.syncs)-1) // with write-outs, the caller has these to wait for
	}
	for ; r.helpers < n; r.helpers++ {
		go func() {
			for range r.work {
				r.start()
				r.sync()
				r.helping.Done()
			}
		}()
	}
	for range n {
		r.helping.Add(1)
		r.work <- struct{}{}
	}
}

func (r *round) start() {
	for {
		i := int(r.nextStart.Add(1)) - 1
		if i >= len(r.outs) {
			return
		}
		r.outs[i].StartOut()
		r.starting.Done()
	}
}

func (r *round) sync() {
	for {
		i := int(r.nextSync.Add(1)) - 1
		if i >= len(r.syncs) {
			return
		}
		r.syncs[i].End(r.syncs[i].Sync())
	}
}

// flush flushes each device once, after everything on it was written out, and
// answers those that waited for it.
func (r *round) flush() {
	for i := range r.outs {
		m := &r.outs[i]
		if m.err == nil && !m.flushed {
			r.flushDevice(r.outs[i:])
		}
		m.End(m.err)
	}
}

// flushDevice flushes the device of the first of outs, for it and those after it.
// Without a file to ask it of, each is synced by itself.
func (r *round) flushDevice(outs []outMember) {
	dev := outs[0].dev
	f, err := r.clean[dev], error(nil)
	if f == nil {
		if f, err = outs[0].OpenClean(); err == nil {
			r.clean[dev] = f
		}
	}
	alone := err != nil
	if !alone {
		if err = f.Datasync(); err != nil {
			f.Close()
			delete(r.clean, dev)
		}
	}
	for i := range outs {
		switch m := &outs[i]; {
		case m.dev != dev || m.err != nil:
		case alone:
			m.err, m.flushed = m.Sync(), true
		default:
			m.err, m.flushed = err, true
		}
	}
}

func (r *round) close() {
	close(r.work)
	for _, f := range r.clean {
		f.Close()
	}
	clear(r.clean)
}
