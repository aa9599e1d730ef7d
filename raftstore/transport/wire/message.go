package wire

import (
	"encoding/binary"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Bits of a message's flags. A bit says that the field is there: raft's fields
// may be absent, which is not the same as zero.
const (
	hasTerm       = 1 << 0
	hasCommit     = 1 << 1
	hasIndex      = 1 << 2
	hasLogTerm    = 1 << 3
	hasEntries    = 1 << 4
	hasReject     = 1 << 5 // its value is isReject
	hasContext    = 1 << 6
	isReject      = 1 << 7
	hasRejectHint = 1 << 8
	hasVote       = 1 << 9
	hasSnapshot   = 1 << 10
	messageFlags  = 1<<11 - 1
)

// Bits of an entry's flags.
const (
	entryTerm     = 1 << 0
	entryLastTerm = 1 << 1 // the term is that of the entry before, of the first one the message's; not with entryTerm
	entryIndex    = 1 << 2
	entryNext     = 1 << 3 // the index follows that of the entry before, of the first one the message's; not with entryIndex
	entryType     = 1 << 4
	entryNormal   = 1 << 5 // the type is normal; not with entryType
	entryData     = 1 << 6
	entryFlags    = 1<<7 - 1
)

// Bits of a snapshot's flags.
const (
	snapshotMeta  = 1 << 0
	snapshotData  = 1 << 1
	snapshotFlags = 1<<2 - 1
)

// EntriesMax is the greatest number of entries of a message. A message of raft's
// has 1 MiB of entries of at least four bytes, or one that is larger.
const EntriesMax = 1 << 18

// travelling says which types of message leave a node.
var travelling = [...]bool{
	pb.MsgApp: true, pb.MsgAppResp: true, pb.MsgVote: true, pb.MsgVoteResp: true, pb.MsgPreVote: true, pb.MsgPreVoteResp: true,
	pb.MsgSnap: true, pb.MsgHeartbeat: true, pb.MsgHeartbeatResp: true, pb.MsgTimeoutNow: true, pb.MsgReadIndex: true, pb.MsgReadIndexResp: true,
}

// Travels reports whether messages of a type leave a node.
func Travels(typ pb.MessageType) bool {
	return typ >= 0 && int(typ) < len(travelling) && travelling[typ]
}

// MessageBytes is about what a message takes, in the queue and in a frame; not
// less than what it takes in a frame.
func MessageBytes(m *pb.Message) int {
	n := 96 + len(m.GetContext())
	for _, e := range m.GetEntries() {
		n += 40 + len(e.GetData())
	}
	if s := m.GetSnapshot(); s != nil {
		n += 64 + len(s.GetData()) + proto.Size(s.GetMetadata())
	}
	return n
}

// Message appends a message of a group, without From and To, which the
// connection implies. The type must be one that travels. Large data is not
// copied: it must not change before Flush.
func (w *Writer) Message(group uint64, m *pb.Message) {
	w.begin()
	w.uv(group)
	w.u8(byte(m.GetType()))
	flags := uint64(0)
	for _, f := range [...]struct {
		v    *uint64
		flag uint64
	}{{m.Term, hasTerm}, {m.Commit, hasCommit}, {m.Index, hasIndex}, {m.LogTerm, hasLogTerm}, {m.RejectHint, hasRejectHint}, {m.Vote, hasVote}} {
		if f.v != nil {
			flags |= f.flag
		}
	}
	if len(m.Entries) > 0 {
		flags |= hasEntries
	}
	if m.Reject != nil {
		if flags |= hasReject; *m.Reject {
			flags |= isReject
		}
	}
	if m.Context != nil {
		flags |= hasContext
	}
	if m.Snapshot != nil {
		flags |= hasSnapshot
	}
	w.uv(flags)
	for _, v := range [...]*uint64{m.Term, m.Commit, m.Index, m.LogTerm, m.RejectHint, m.Vote} {
		if v != nil {
			w.uv(*v)
		}
	}
	if m.Context != nil {
		w.copy(m.Context)
	}
	if len(m.Entries) > 0 {
		w.entries(m)
	}
	if m.Snapshot != nil {
		w.snapshot(m.Snapshot)
	}
}

func (w *Writer) entries(m *pb.Message) {
	w.uv(uint64(len(m.Entries)))
	term, index := m.GetTerm(), m.GetIndex()
	for _, e := range m.Entries {
		flags := byte(0)
		switch {
		case e.Term == nil:
		case *e.Term == term:
			flags |= entryLastTerm
		default:
			flags |= entryTerm
		}
		switch {
		case e.Index == nil:
		case *e.Index == index+1:
			flags |= entryNext
		default:
			flags |= entryIndex
		}
		switch {
		case e.Type == nil:
		case *e.Type == pb.EntryNormal:
			flags |= entryNormal
		default:
			flags |= entryType
		}
		if e.Data != nil {
			flags |= entryData
		}
		w.u8(flags)
		if flags&entryTerm != 0 {
			w.uv(*e.Term)
		}
		if flags&entryIndex != 0 {
			w.uv(*e.Index)
		}
		if flags&entryType != 0 {
			w.u8(byte(*e.Type))
		}
		if flags&entryData != 0 {
			w.data(e.Data)
		}
		if e.Term != nil {
			term = *e.Term
		}
		index = e.GetIndex()
	}
}

func (w *Writer) snapshot(s *pb.Snapshot) {
	flags := byte(0)
	if s.Metadata != nil {
		flags |= snapshotMeta
	}
	if s.Data != nil {
		flags |= snapshotData
	}
	w.u8(flags)
	if s.Metadata != nil {
		meta, err := proto.Marshal(s.Metadata)
		if err != nil {
			panic(fmt.Sprintf("BUG: snapshot metadata: %v", err)) // it has neither required fields nor strings
		}
		w.copy(meta)
	}
	if s.Data != nil {
		w.data(s.Data)
	}
}

// reader takes apart the body of a frame. After the first thing that does not
// fit it is bad and gives zeroes.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) u8() byte {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uv() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// take gives n bytes of the body, with nothing to append to behind them.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte { return r.take(r.uv()) }

// slot is a message with what its fields point to.
type slot struct {
	m                                              pb.Message
	typ                                            pb.MessageType
	from, to                                       uint64
	term, commit, index, logTerm, rejectHint, vote uint64
	reject                                         bool
}

// entrySlot is an entry with what its fields point to.
type entrySlot struct {
	e           pb.Entry
	term, index uint64
	typ         pb.EntryType
}

// slotsMax is how many messages are allocated together: as long as one of them
// is kept, all are.
const slotsMax = 32

// MessageReader reads the messages of a frame, which came from one node to another.
type MessageReader struct {
	reader
	from, to uint64
	slots    []slot
	read     int // messages
}

// Messages reads the body of a frame that node from sent to node to.
func Messages(body []byte, from, to uint64) MessageReader {
	return MessageReader{reader: reader{b: body}, from: from, to: to}
}

// Left is how many bytes have not been read.
func (r *MessageReader) Left() int { return len(r.b) }

// Err tells, after the last message, whether the frame was malformed.
func (r *MessageReader) Err() error {
	if r.bad {
		return fmt.Errorf("%w: messages", ErrBadFrame)
	}
	return nil
}

// Next reads a message; ok is false at the end, and when the rest is malformed
// (Err). The message's byte slices are parts of the body.
func (r *MessageReader) Next() (group uint64, m *pb.Message, ok bool) {
	if len(r.b) == 0 {
		return 0, nil, false
	}
	if len(r.slots) == 0 {
		r.slots = make([]slot, min(r.read+1, slotsMax, 1+len(r.b)/8)) // as many again as there were
	}
	s := &r.slots[0]
	m = &s.m
	group = r.uv()
	s.typ = pb.MessageType(r.u8())
	flags := r.uv()
	if !Travels(s.typ) || flags&^messageFlags != 0 || flags&(hasReject|isReject) == isReject {
		r.fail()
	}
	s.from, s.to = r.from, r.to
	m.Type, m.From, m.To = &s.typ, &s.from, &s.to
	optional := func(flag uint64, v *uint64) *uint64 {
		if flags&flag == 0 {
			return nil
		}
		*v = r.uv()
		return v
	}
	m.Term, m.Commit = optional(hasTerm, &s.term), optional(hasCommit, &s.commit)
	m.Index, m.LogTerm = optional(hasIndex, &s.index), optional(hasLogTerm, &s.logTerm)
	m.RejectHint, m.Vote = optional(hasRejectHint, &s.rejectHint), optional(hasVote, &s.vote)
	if flags&hasReject != 0 {
		s.reject = flags&isReject != 0
		m.Reject = &s.reject
	}
	if flags&hasContext != 0 {
		m.Context = r.bytes()
	}
	if flags&hasEntries != 0 {
		r.entries(m)
	}
	if flags&hasSnapshot != 0 {
		r.snapshot(m)
	}
	if r.bad {
		return 0, nil, false
	}
	r.slots = r.slots[1:]
	r.read++
	return group, m, true
}

func (r *MessageReader) entries(m *pb.Message) {
	n := r.uv()
	if n == 0 || n > EntriesMax || n > uint64(len(r.b)) { // an entry has a byte at least
		r.fail()
		return
	}
	slots := make([]entrySlot, n)
	m.Entries = make([]*pb.Entry, n)
	term, index := m.GetTerm(), m.GetIndex()
	for i := range slots {
		s := &slots[i]
		m.Entries[i] = &s.e
		flags := r.u8()
		both := func(a byte) bool { return flags&a == a }
		if flags&^entryFlags != 0 || both(entryTerm|entryLastTerm) || both(entryIndex|entryNext) || both(entryType|entryNormal) {
			r.fail()
			return
		}
		if flags&entryTerm != 0 {
			term = r.uv()
		}
		if flags&(entryTerm|entryLastTerm) != 0 {
			s.term = term
			s.e.Term = &s.term
		}
		index++
		if flags&entryIndex != 0 {
			index = r.uv()
		}
		if flags&(entryIndex|entryNext) != 0 {
			s.index = index
			s.e.Index = &s.index
		} else {
			index = 0
		}
		if flags&entryType != 0 {
			s.typ = pb.EntryType(r.u8())
		}
		if flags&(entryType|entryNormal) != 0 {
			s.e.Type = &s.typ
		}
		if flags&entryData != 0 {
			s.e.Data = r.bytes()
		}
		if r.bad {
			return
		}
	}
}

func (r *MessageReader) snapshot(m *pb.Message) {
	flags := r.u8()
	if flags&^snapshotFlags != 0 {
		r.fail()
		return
	}
	s := &pb.Snapshot{}
	m.Snapshot = s
	if flags&snapshotMeta != 0 {
		s.Metadata = &pb.SnapshotMetadata{}
		if meta := r.bytes(); len(meta) > HelloBytesMax || proto.Unmarshal(meta, s.Metadata) != nil {
			r.fail()
			return
		}
	}
	if flags&snapshotData != 0 {
		s.Data = r.bytes()
	}
}
