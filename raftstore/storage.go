package raftstore

import (
	"errors"
	"fmt"
	"math"

	"chronik/segment"
	"chronik/wal"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Describe reads from a payload what its frame header says of it: the first
// offset, how many offsets it takes (0: it holds no records, base is ignored)
// and its greatest timestamp in ms (-1: none).
type Describe func(payload []byte) (base segment.Offset, count uint32, maxTimestamp int64)

// tailBytesMax bounds the payload bytes kept of entries that are not applied;
// beyond it the oldest are read from the log again when their time comes.
const tailBytesMax = 32 << 20

// Storage is a group's log as raft sees it (raft.Storage), and as the runner
// of the group writes it. It is not safe for concurrent use: the runner
// serialises its own calls and raft's. The log underneath may lose its prefix
// at any time.
//
// Invariants:
//
//	applied < tail[0].Index, tail contiguous, tail[last].Index == log.LastIndex() (or tail is empty)
//	hard state's commit <= applied and <= log.DurableIndex() when it was saved
type Storage struct {
	log      *wal.Log
	hs       *HardStates
	group    uint64
	describe Describe

	initial   State
	conf      *pb.ConfState
	confIndex uint64
	saved     State // last saved; Term and Vote may still be on their way to the disk

	snapshots func() bool // whether one more may be made now; nil: yes

	applied   uint64
	tail      []tailEntry // appended, not applied, newest last; a window of them when there are too many
	prevTerm  uint64      // of the entry before tail[0], which the log may have dropped
	tailBytes int
	scratch   []segment.Entry
	err       error
}

// tailEntry is an entry with what its frame header says.
type tailEntry struct {
	ent          *pb.Entry
	base         segment.Offset
	count        uint32
	maxTimestamp int64
}

var _ raft.Storage = (*Storage)(nil)

// NewStorage makes a Storage; Load must follow.
func NewStorage(log *wal.Log, hs *HardStates, group uint64, describe Describe) *Storage {
	return &Storage{log: log, hs: hs, group: group, describe: describe}
}

// Err is the I/O error or corruption met inside of a call of raft's. Raft has
// been given a harmless answer; the group must be stopped.
func (s *Storage) Err() error { return s.err }

// InitialState implements raft.Storage.
func (s *Storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	if s.initial == (State{}) {
		return nil, s.conf, nil
	}
	return &pb.HardState{Term: new(s.initial.Term), Vote: new(s.initial.Vote), Commit: new(s.initial.Commit)}, s.conf, nil
}

// FirstIndex implements raft.Storage. Entries that are not applied are there
// even if their segment has been dropped.
func (s *Storage) FirstIndex() (uint64, error) {
	first := uint64(s.log.FirstIndex())
	if len(s.tail) > 0 {
		first = min(first, s.tail[0].ent.GetIndex())
	}
	return first, nil
}

// LastIndex implements raft.Storage.
func (s *Storage) LastIndex() (uint64, error) { return uint64(s.log.LastIndex()), nil }

// Term implements raft.Storage.
func (s *Storage) Term(i uint64) (uint64, error) {
	if t := s.tailAt(i); t != nil {
		return t.ent.GetTerm(), nil
	}
	if len(s.tail) > 0 && i+1 == s.tail[0].ent.GetIndex() {
		return s.prevTerm, nil
	}
	term, err := s.log.Term(segment.Index(i))
	if err != nil {
		err = s.sentinel(err)
		if err == nil {
			err = raft.ErrUnavailable
		}
	}
	return uint64(term), err
}

// Entries implements raft.Storage. Entries that are not applied come from
// memory and are shared; older ones are read and belong to the caller.
func (s *Storage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if first, _ := s.FirstIndex(); lo < first {
		return nil, raft.ErrCompacted
	}
	if hi > uint64(s.log.LastIndex())+1 || lo >= hi {
		return nil, raft.ErrUnavailable
	}
	if t := s.tailAt(lo); t != nil {
		from := lo - s.tail[0].ent.GetIndex()
		return s.shared(s.tail[from:from+hi-lo], maxSize), nil
	}
	if len(s.tail) > 0 {
		hi = min(hi, s.tail[0].ent.GetIndex())
	}
	ents, err := s.read(lo, hi, maxSize)
	if err != nil {
		return nil, s.sentinel(err) // nil: an empty answer, see Err
	}
	return limitSize(ents, maxSize), nil
}

// shared returns the longest prefix of the window within maxSize, at least one.
func (s *Storage) shared(window []tailEntry, maxSize uint64) []*pb.Entry {
	out := make([]*pb.Entry, 0, len(window))
	size := uint64(0)
	for i := range window {
		if maxSize != math.MaxUint64 {
			size += uint64(proto.Size(window[i].ent))
			if i > 0 && size > maxSize {
				break
			}
		}
		out = append(out, window[i].ent)
	}
	return out
}

// read reads [lo, hi) from the log, until maxSize is reached.
func (s *Storage) read(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	frames, err := s.log.Entries(segment.Index(lo), segment.Index(hi), int64(min(maxSize, math.MaxInt64)), s.scratch[:0])
	if err != nil {
		return nil, err
	}
	defer s.Release(frames)
	// One allocation for all structs, one for all numbers.
	ents, nums, out := make([]pb.Entry, len(frames)), make([]uint64, 2*len(frames)), make([]*pb.Entry, len(frames))
	for i := range frames {
		f, e := &frames[i], &ents[i]
		nums[2*i], nums[2*i+1] = uint64(f.Index), uint64(f.Term)
		e.Index, e.Term = &nums[2*i], &nums[2*i+1]
		if e.Type, err = entryType(f.Kind); err != nil {
			return nil, fmt.Errorf("raftstore: group %d, index %d: %w", s.group, f.Index, err)
		}
		if len(f.Payload) > 0 {
			e.Data = f.Payload
		}
		out[i] = e
	}
	return out, nil
}

// Release keeps the array of frames for the next call, without their payloads.
func (s *Storage) Release(frames []segment.Entry) {
	clear(frames)
	s.scratch = frames[:0]
	if cap(frames) > 64 {
		s.scratch = nil
	}
}

func limitSize(ents []*pb.Entry, maxSize uint64) []*pb.Entry {
	if maxSize == math.MaxUint64 {
		return ents
	}
	size := uint64(0)
	for i, e := range ents {
		if size += uint64(proto.Size(e)); i > 0 && size > maxSize {
			return ents[:i]
		}
	}
	return ents
}

// sentinel turns an error of the log into the one raft knows. Any other error
// would panic the process inside of raft: it is kept for Err instead, and nil
// is returned.
func (s *Storage) sentinel(err error) error {
	switch {
	case errors.Is(err, wal.ErrCompacted):
		return raft.ErrCompacted
	case errors.Is(err, wal.ErrUnavailable):
		return raft.ErrUnavailable
	}
	if s.err == nil {
		s.err = err
	}
	return nil
}

// Append writes entries behind the log, or in place of its end: entries from
// entries[0].Index on that are there already conflict and are dropped first.
// They can be read at once and are durable after a sync of the log. The
// entries are kept until they are applied and must not be changed.
//
// After an error for which DiskFull holds some of them may be in the log, or
// the conflicting ones may be gone; the same call may then be made again, and
// goes on where that one stopped.
//
// The frames that were written are returned, for Release.
func (s *Storage) Append(entries []*pb.Entry) ([]segment.Entry, error) {
	for len(entries) > 0 {
		if t := s.tailAt(entries[0].GetIndex()); t == nil || t.ent != entries[0] {
			break
		}
		entries = entries[1:]
	}
	if len(entries) == 0 {
		return nil, nil
	}
	first, last := entries[0].GetIndex(), uint64(s.log.LastIndex())
	if first > last+1 {
		return nil, fmt.Errorf("BUG: raftstore: group %d: append at %d, log ends at %d", s.group, first, last)
	}
	if first <= last {
		if err := s.truncateFrom(first); err != nil {
			return nil, err
		}
	}
	if len(s.tail) == 0 {
		prev, err := s.log.Term(segment.Index(first - 1))
		if err != nil {
			return nil, fmt.Errorf("raftstore: group %d: term of entry %d: %w", s.group, first-1, err)
		}
		s.prevTerm = uint64(prev)
	}
	frames := s.scratch[:0]
	next, kept := s.log.NextOffset(), len(s.tail)
	for _, e := range entries {
		f := segment.Entry{Index: segment.Index(e.GetIndex()), Term: segment.Term(e.GetTerm()),
			Kind: entryKind(e.GetType()), BaseOffset: next, MaxTimestamp: -1, Payload: e.GetData()}
		if f.Kind == segment.KindData && len(f.Payload) > 0 {
			if base, count, ts := s.describe(f.Payload); count > 0 {
				f.BaseOffset, f.Count, f.MaxTimestamp = base, count, ts
			}
		}
		next = f.BaseOffset + segment.Offset(f.Count)
		frames = append(frames, f)
		s.tail = append(s.tail, tailEntry{e, f.BaseOffset, f.Count, f.MaxTimestamp})
		s.tailBytes += len(f.Payload)
	}
	if err := s.log.Append(frames); err != nil {
		written := int(uint64(s.log.LastIndex()) + 1 - first)
		s.dropTail(kept+written, len(s.tail))
		return frames[:written], fmt.Errorf("raftstore: group %d: %w", s.group, err)
	}
	for s.tailBytes > tailBytesMax && len(s.tail) > 1 {
		s.dropTail(0, 1)
	}
	return frames, nil
}

func (s *Storage) truncateFrom(i uint64) error {
	if i <= s.applied {
		return fmt.Errorf("BUG: raftstore: group %d: cut from %d, applied to %d", s.group, i, s.applied)
	}
	if err := s.log.TruncateFrom(segment.Index(i)); err != nil {
		return fmt.Errorf("raftstore: group %d: %w", s.group, err)
	}
	if len(s.tail) > 0 {
		first := s.tail[0].ent.GetIndex()
		s.dropTail(int(max(i, first)-first), len(s.tail))
	}
	return nil
}

// Frame returns an entry that raft handed out as the frame that holds it.
func (s *Storage) Frame(e *pb.Entry) segment.Entry {
	f := segment.Entry{Index: segment.Index(e.GetIndex()), Term: segment.Term(e.GetTerm()),
		Kind: entryKind(e.GetType()), MaxTimestamp: -1, Payload: e.GetData()}
	if t := s.tailAt(e.GetIndex()); t != nil {
		f.BaseOffset, f.Count, f.MaxTimestamp = t.base, t.count, t.maxTimestamp
	} else if f.Kind == segment.KindData && len(f.Payload) > 0 {
		f.BaseOffset, f.Count, f.MaxTimestamp = s.describe(f.Payload)
	}
	return f
}

// AppliedTo tells that entries up to i have been applied; they leave the memory.
func (s *Storage) AppliedTo(i uint64) {
	s.applied = i
	if len(s.tail) > 0 {
		first := s.tail[0].ent.GetIndex()
		s.dropTail(0, int(min(max(i+1, first)-first, uint64(len(s.tail)))))
	}
}

// Applied is the index up to which entries have been applied.
func (s *Storage) Applied() uint64 { return s.applied }

func (s *Storage) tailAt(i uint64) *tailEntry {
	if len(s.tail) == 0 {
		return nil
	}
	if at := i - s.tail[0].ent.GetIndex(); at < uint64(len(s.tail)) {
		return &s.tail[at]
	}
	return nil
}

// dropTail removes tail[from:to], which is a prefix or a suffix.
func (s *Storage) dropTail(from, to int) {
	if from == 0 && to > 0 {
		s.prevTerm = s.tail[to-1].ent.GetTerm()
	}
	for i := from; i < to; i++ {
		s.tailBytes -= len(s.tail[i].ent.GetData())
	}
	rest := append(s.tail[:from], s.tail[to:]...)
	clear(s.tail[len(rest):])
	s.tail = rest
	if len(rest) == 0 && cap(rest) > 16 {
		s.tail = nil // an idle group holds no memory for a burst it once had
	}
}

func entryKind(t pb.EntryType) segment.Kind {
	switch t {
	case pb.EntryConfChange:
		return segment.KindConf
	case pb.EntryConfChangeV2:
		return segment.KindConfV2
	}
	return segment.KindData
}

func entryType(k segment.Kind) (*pb.EntryType, error) {
	switch k {
	case segment.KindData:
		return nil, nil // absent is EntryNormal
	case segment.KindConf:
		return pb.EntryConfChange.Enum(), nil
	case segment.KindConfV2:
		return pb.EntryConfChangeV2.Enum(), nil
	}
	return nil, fmt.Errorf("frame of unknown kind %d", k)
}
