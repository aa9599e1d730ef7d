package mapping

import (
	"sync"
	"sync/atomic"

	"chronik/internal/vfs"
)

// Set is the mappings of a node.
type Set struct {
	filesMax int
	tick     atomic.Uint32

	mu   sync.Mutex
	ring []*File // those that can be taken away
	hand int
}

// NewSet returns an empty set that holds up to filesMax mappings which can be
// taken away, at least one.
func NewSet(filesMax int) *Set {
	s := &Set{filesMax: max(1, filesMax)}
	s.tick.Store(2) // a stamp of 0 is neither of this tick nor of the one before
	return s
}

// alone is the set of the files that are in none: it holds nothing and ticks
// never, so pages are asked about once.
var alone = NewSet(1)

// Tick begins the next period: what was in memory in the one before is asked
// about again when it is needed. To be called about once a second.
func (s *Set) Tick() {
	s.tick.Add(1)
}

// Files is how many mappings there are that can be taken away.
func (s *Set) Files() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ring)
}

// Add takes charge of m. With a drop it can be taken away, to make room for
// another: drop closes the File unless it is in use, and tells whether it did.
// It must not wait for anything that is held over a call of Add. Without one m
// stays until Close and does not count. A nil Set takes nothing away.
func (s *Set) Add(m *vfs.Mapping, drop func() bool) *File {
	if s == nil {
		s, drop = alone, nil
	}
	f := &File{Bytes: m.Bytes, m: m, set: s, at: -1}
	if drop == nil {
		return f
	}
	f.drop = drop
	s.makeRoom()
	s.mu.Lock()
	f.at = len(s.ring)
	s.ring = append(s.ring, f)
	s.mu.Unlock()
	return f
}

// makeRoom goes round as a clock's hand does: what was used since it came by
// is passed over once. Twice round, it has asked everybody.
func (s *Set) makeRoom() {
	for tries := 2 * s.filesMax; tries > 0; tries-- {
		switch f := s.next(); {
		case f == nil:
			return
		case !f.used.Swap(false):
			f.drop()
		}
	}
}

// next is the file that the hand comes by, nil when there is room.
func (s *Set) next() *File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ring) < s.filesMax {
		return nil
	}
	s.hand = (s.hand + 1) % len(s.ring)
	return s.ring[s.hand]
}

func (s *Set) remove(f *File) {
	if f.drop == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.ring[len(s.ring)-1]
	s.ring[f.at], last.at = last, f.at
	s.ring[len(s.ring)-1] = nil
	s.ring = s.ring[:len(s.ring)-1]
}

// Pages are asked about in chunks of this size, what a page fault reads ahead
// by default. One who reads on gets several at once, and as many are asked for
// behind them.
const (
	chunkBits = 17
	ahead     = 8 // chunks

	// Chunk is what is asked about at a time, in bytes.
	Chunk = 1 << chunkBits
)

// File is a mapping and what is known of its pages.
type File struct {
	Bytes []byte
	m     *vfs.Mapping
	set   *Set
	drop  func() bool
	at    int // in the ring; -1: not there
	used  atomic.Bool
	// stamps holds for each chunk the tick in which it was last seen to be in
	// memory. Made when first needed: most of a node's files are idle.
	stamps atomic.Pointer[[]atomic.Uint32]
}

// Has tells that Bytes[at] was in memory a moment ago: the cheap front of Need.
func (f *File) Has(at int64) bool {
	p := f.stamps.Load()
	return p != nil && (*p)[at>>chunkBits].Load() == f.set.tick.Load()
}

// Need returns once Bytes[from:to] are in memory, from < to. The bytes before
// end may be read on the way; it must lie inside of the file.
func (f *File) Need(from, to, end int64) error {
	for k := from >> chunkBits; k <= (to-1)>>chunkBits; k++ {
		if !f.Has(k << chunkBits) {
			return f.load(k, (to-1)>>chunkBits, end)
		}
	}
	return nil
}

// load brings in chunks first to last, and more if the one before them has
// been needed lately.
func (f *File) load(first, last, end int64) error {
	if f.stamps.Load() == nil {
		made := make([]atomic.Uint32, (len(f.Bytes)-1)>>chunkBits+1)
		f.stamps.CompareAndSwap(nil, &made)
	}
	stamps, tick, more := *f.stamps.Load(), f.set.tick.Load(), int64(0)
	if first > 0 && tick-stamps[first-1].Load() <= 1 {
		last, more = max(last, first+ahead-1), ahead
	}
	last = min(last, (end-1)>>chunkBits)
	if err := f.m.Load(first<<chunkBits, min((last+1)<<chunkBits, end), min((last+1+more)<<chunkBits, end)); err != nil {
		return err
	}
	for k := first; k <= last; k++ {
		stamps[k].Store(tick)
	}
	f.used.Store(true)
	return nil
}

// Close unmaps. A use of Bytes afterwards kills the process.
func (f *File) Close() {
	f.set.remove(f)
	f.m.Close()
}
