package fetchsession

import (
	"container/list"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Why a fetch in a session is refused (F33). The response carries session id 0
// and no partitions.
var (
	ErrNotFound     = errors.New("no such fetch session")
	ErrInvalidEpoch = errors.New("fetch session epoch is not the one expected")
	ErrTopicID      = errors.New("fetch session mixes topic names and topic ids")
)

// Session epochs with a meaning of their own.
const (
	EpochInitial = 0  // begins a session
	EpochFinal   = -1 // no session; ends one
)

// EvictAfter is the age at which an unused session may be replaced (F39).
const EvictAfter = 2 * time.Minute

// bytesMax bounds the memory of all sessions of a cache, for whose partitions
// clients may make up names: about 500,000 partitions, where one takes
// partitionBytes and its topic's name.
const (
	bytesMax       = 128 << 20
	partitionBytes = 250
)

// Key names a partition: by topic id in sessions of version 13 and later, by
// topic name in earlier ones. The other one is zero.
type Key struct {
	Topic     string
	TopicID   [16]byte
	Partition int32
}

// Partition is what a client asks of one partition.
type Partition struct {
	Key
	CurrentLeaderEpoch int32
	FetchOffset        int64
	LastFetchedEpoch   int32
	MaxBytes           int32
}

// Request is the part of a fetch request that concerns sessions.
type Request struct {
	SessionID  int32
	Epoch      int32
	ByID       bool // keys are topic ids
	Partitions []Partition
	Forgotten  []Key
}

// Result is what reading one partition gave.
type Result struct {
	HighWatermark int64
	LogStart      int64
	HasRecords    bool
	Failed        bool // an error code
	Urgent        bool // a diverging epoch or a preferred replica
}

// Cache holds the sessions of a broker.
type Cache struct {
	slots int

	mu       sync.Mutex
	rand     *rand.Rand
	sessions map[int32]*session
	bytes    int64     // of all sessions
	lru      list.List // of *session, least recently used first
}

// New returns a cache of at most slots sessions. It draws session ids from r,
// under its lock.
func New(slots int, r *rand.Rand) *Cache {
	return &Cache{slots: slots, rand: r, sessions: make(map[int32]*session)}
}

// Len is the number of sessions.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

// session is guarded by its cache's lock.
type session struct {
	id      int32
	epoch   int32 // expected next
	byID    bool
	created time.Time
	used    time.Time
	at      *list.Element
	bytes   int64
	byKey   map[Key]*entry
	// underWay: Begin has copied its partitions, for the answer that Finish is for.
	underWay bool
	order    []*entry // in which partitions are read
}

// entry is one partition of a session. Its Key never changes.
type entry struct {
	Partition
	// As last sent to the client; highWatermark -1 makes it be sent again.
	highWatermark int64
	logStart      int64
	removed       bool
}

// Fetch is one fetch request under way.
type Fetch struct {
	// Partitions are to be read in this order.
	Partitions []Partition

	cache   *Cache
	session *session // of an incremental fetch
	entries []*entry // beside Partitions, of an incremental fetch
	byID    bool
	create  bool // a full fetch that wants a session
}

// Begin admits a fetch and says what to read. f is overwritten; its memory is
// reused.
func (c *Cache) Begin(now time.Time, r Request, f *Fetch) error {
	*f = Fetch{Partitions: f.Partitions[:0], entries: f.entries[:0], cache: c, byID: r.ByID}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Epoch == EpochInitial || r.Epoch == EpochFinal { // F30, F31, F32
		c.removeLocked(c.sessions[r.SessionID])
		f.Partitions = append(f.Partitions, r.Partitions...)
		f.create = r.Epoch == EpochInitial && len(r.Partitions) > 0
		return nil
	}
	s := c.sessions[r.SessionID]
	switch {
	case s == nil:
		return ErrNotFound
	case s.epoch != r.Epoch, s.underWay: // who asks again before the answer makes memory of many times the session
		return ErrInvalidEpoch
	case s.byID != r.ByID:
		return ErrTopicID
	}
	before := s.bytes
	s.update(r)
	c.bytes += s.bytes - before
	if c.bytes > bytesMax && s.bytes > before {
		c.removeLocked(s) // the client begins anew, and does without a session
		return ErrNotFound
	}
	if len(s.order) == 0 { // F37
		c.removeLocked(s)
		return nil
	}
	s.epoch = nextEpoch(s.epoch)
	s.used = now
	c.lru.MoveToBack(s.at)
	s.underWay = true
	f.session = s
	for _, e := range s.order {
		f.Partitions = append(f.Partitions, e.Partition)
	}
	f.entries = append(f.entries, s.order...)
	return nil
}

// nextEpoch runs 1, 2, .. 2147483647, 1 (F34).
func nextEpoch(e int32) int32 {
	if e == math.MaxInt32 {
		return 1
	}
	return e + 1
}

// update applies what an incremental request adds, changes and forgets (F35).
func (s *session) update(r Request) {
	for _, p := range r.Partitions {
		if e := s.byKey[p.Key]; e != nil {
			p.Key = e.Key // the name is ours
			e.Partition = p
		} else {
			s.add(p)
		}
	}
	gone := false
	for _, k := range r.Forgotten {
		if e := s.byKey[k]; e != nil {
			e.removed, gone = true, true
			s.bytes -= e.size()
			delete(s.byKey, k)
		}
	}
	if gone {
		s.order = slices.DeleteFunc(s.order, func(e *entry) bool { return e.removed })
		s.shrink()
	}
}

// shrinkFrom is the room in order from which on it is worth giving back.
const shrinkFrom = 64

// shrink gives back the memory of partitions that have been forgotten, which
// neither a map nor a slice does, when more than half is that.
func (s *session) shrink() {
	if cap(s.order) < shrinkFrom || len(s.order) > cap(s.order)/2 {
		return
	}
	s.order = append(make([]*entry, 0, len(s.order)), s.order...)
	s.byKey = make(map[Key]*entry, len(s.order))
	for _, e := range s.order {
		s.byKey[e.Key] = e
	}
}

func (s *session) add(p Partition) *entry {
	if n := len(s.order); n > 0 && s.order[n-1].Topic == p.Topic {
		p.Topic = s.order[n-1].Topic
	} else {
		p.Topic = strings.Clone(p.Topic)
	}
	e := &entry{Partition: p, highWatermark: -1, logStart: -1}
	s.byKey[p.Key] = e
	s.order = append(s.order, e)
	s.bytes += e.size()
	return e
}

func (p *Partition) size() int64 { return partitionBytes + int64(len(p.Topic)) }

// Finish takes the results beside Partitions. It sets listed, which is as long,
// to whether the response lists each partition, and returns the session id that
// the response carries.
func (f *Fetch) Finish(now time.Time, results []Result, listed []bool) (sessionID int32) {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	if f.session == nil {
		for i := range listed {
			listed[i] = true
		}
		if f.create {
			return f.cache.createLocked(now, f, results)
		}
		return 0
	}
	for i, e := range f.entries {
		listed[i] = e.sent(results[i])
	}
	f.session.rotate(f.entries, results)
	f.session.underWay = false
	if f.cache.sessions[f.session.id] != f.session { // removed meanwhile
		f.cache.bytes -= f.session.bytes
	}
	return f.session.id
}

// sent notes r as told to the client, and reports whether it must be (F36).
func (e *entry) sent(r Result) bool {
	changed := r.HasRecords || r.Urgent || e.highWatermark != r.HighWatermark || e.logStart != r.LogStart
	e.highWatermark, e.logStart = r.HighWatermark, r.LogStart
	if r.Failed {
		e.highWatermark = -1 // so that its recovery is told
		return true
	}
	return changed
}

// rotate moves the partitions that returned data to the end (F35).
func (s *session) rotate(entries []*entry, results []Result) {
	served := func(i int) bool { return results[i].HasRecords && !entries[i].removed }
	n := 0
	for i := range entries {
		if served(i) {
			n++
		}
	}
	if n == 0 || n == len(s.order) {
		return
	}
	moved := make(map[*entry]struct{}, n)
	back := make([]*entry, 0, n)
	for i, e := range entries {
		if served(i) {
			moved[e] = struct{}{}
			back = append(back, e)
		}
	}
	s.order = slices.DeleteFunc(s.order, func(e *entry) bool { _, ok := moved[e]; return ok })
	s.order = append(s.order, back...)
}

// createLocked makes a session of a full fetch, or returns 0 if there is no
// slot or no memory for it.
func (c *Cache) createLocked(now time.Time, f *Fetch, results []Result) int32 {
	bytes := int64(0)
	for i := range f.Partitions {
		bytes += f.Partitions[i].size()
	}
	if bytes > bytesMax {
		return 0 // before anybody gives way for it
	}
	if !c.fitLocked(now, bytes) || !c.makeRoomLocked(now, len(f.Partitions)) {
		return 0
	}
	s := &session{
		id: c.newIDLocked(), epoch: 1, byID: f.byID, created: now, used: now,
		byKey: make(map[Key]*entry, len(f.Partitions)),
	}
	for i, p := range f.Partitions {
		if s.byKey[p.Key] == nil {
			s.add(p).sent(results[i])
		}
	}
	s.at = c.lru.PushBack(s)
	c.sessions[s.id] = s
	c.bytes += s.bytes
	return s.id
}

func (c *Cache) newIDLocked() int32 {
	for {
		id := c.rand.Int32N(math.MaxInt32) + 1
		if c.sessions[id] == nil {
			return id
		}
	}
}

// fitLocked makes sure that there is memory for a session, at the expense of
// those unused for EvictAfter.
func (c *Cache) fitLocked(now time.Time, bytes int64) bool {
	for c.bytes+bytes > bytesMax {
		oldest := c.lru.Front()
		if oldest == nil || now.Sub(oldest.Value.(*session).used) <= EvictAfter {
			return false
		}
		c.removeLocked(oldest.Value.(*session))
	}
	return true
}

// makeRoomLocked frees a slot if there is none for a session of so many
// partitions (F39): the one unused for longest, if that is EvictAfter; else the
// smallest that is smaller than the newcomer and has lived for EvictAfter, so
// that large sessions do not drive each other out in turn.
func (c *Cache) makeRoomLocked(now time.Time, partitions int) bool {
	if len(c.sessions) < c.slots {
		return true
	}
	oldest := c.lru.Front()
	if oldest == nil {
		return false
	}
	victim := oldest.Value.(*session)
	if now.Sub(victim.used) > EvictAfter {
		c.removeLocked(victim)
		return true
	}
	victim = nil
	for e := c.lru.Front(); e != nil; e = e.Next() {
		s := e.Value.(*session)
		if now.Sub(s.created) > EvictAfter && len(s.order) < partitions && (victim == nil || len(s.order) < len(victim.order)) {
			victim = s
		}
	}
	if victim == nil {
		return false
	}
	c.removeLocked(victim)
	return true
}

func (c *Cache) removeLocked(s *session) {
	if s == nil || c.sessions[s.id] != s {
		return
	}
	delete(c.sessions, s.id)
	if !s.underWay { // or Finish does
		c.bytes -= s.bytes
	}
	c.lru.Remove(s.at)
}
