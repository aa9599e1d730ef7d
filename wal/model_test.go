package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
)

// model is a log as a slice.
type model struct {
	entries []segment.Entry
	first   Index // of entries[0]
	start   Offset
	next    Offset
	synced  Index // the last entry that must survive a crash
	term    Term
}

func (m *model) last() Index { return m.first + Index(len(m.entries)) - 1 }

// shows tells whether the log is what the model says, except that entries
// which were not synced may be missing from the end on.
func (m *model) shows(l *Log) error {
	first, last := l.FirstIndex(), l.LastIndex()
	if first < m.first || last > m.last() || first > last+1 {
		return fmt.Errorf("entries [%d, %d], model [%d, %d]", first, last, m.first, m.last())
	}
	if last < m.synced {
		return fmt.Errorf("last %d, synced %d", last, m.synced)
	}
	if l.StartOffset() != m.start {
		return fmt.Errorf("start %d, model %d", l.StartOffset(), m.start)
	}
	if first > m.first && m.entries[first-m.first-1].Next() > m.start {
		return fmt.Errorf("first %d was dropped below start %d", first, m.start)
	}
	if last < first {
		return nil
	}
	got, err := l.Entries(first, last+1, 1<<40, nil)
	if err != nil {
		return err
	}
	for i, e := range got {
		if !same(e, m.entries[first-m.first+Index(i)]) {
			return fmt.Errorf("entry %d differs", e.Index)
		}
	}
	if next := got[len(got)-1].Next(); l.NextOffset() != next {
		return fmt.Errorf("next offset %d, want %d", l.NextOffset(), next)
	}
	return nil
}

type harness struct {
	t    *testing.T
	r    *rand.Rand
	fs   *vfs.Mem
	rule func(op vfs.Op, name string) error // nil: no faults
	log  *Log
	m    model
	size int64
}

func (h *harness) options() Options {
	o := Options{FS: h.fs, Dir: "/log", SegmentBytes: func() int64 { return h.size }, Rand: h.r}
	if h.rule != nil {
		o.FS = vfs.NewFaulty(h.fs, h.rule)
	}
	return o
}

func (h *harness) open() Recovery {
	h.t.Helper()
	l, rec, err := Open(h.options())
	if err != nil {
		h.t.Fatalf("open: %v", err)
	}
	h.log = l
	return rec
}

func (h *harness) batch() []segment.Entry { return h.m.batch(h.r, 40000) }

// batch makes entries that follow, now and then with payloads of up to large
// bytes, and perhaps of later terms.
func (m *model) batch(r *rand.Rand, large int) []segment.Entry {
	n := 1 + r.IntN(5)
	out := make([]segment.Entry, n)
	index, next := m.last()+1, m.next
	for i := range out {
		if r.IntN(10) == 0 {
			m.term++
		}
		e := segment.Entry{Index: index, Term: m.term, Kind: segment.KindData, BaseOffset: next, MaxTimestamp: -1}
		if r.IntN(6) > 0 {
			e.Count = uint32(1 + r.IntN(4))
			e.MaxTimestamp = int64(1000 + r.IntN(100))
			size := []int{40, 40, r.IntN(200)}[r.IntN(3)] // now and then of the length of what was there before
			if r.IntN(10) == 0 {
				size = r.IntN(large)
			}
			e.Payload = make([]byte, size)
			for k := range e.Payload {
				e.Payload[k] = byte(r.Uint32())
			}
		}
		out[i] = e
		index, next = index+1, e.Next()
	}
	return out
}

// until is the model without the entries after last.
func (m *model) until(last Index) model {
	c := *m
	if n := int(last + 1 - m.first); n < len(m.entries) {
		c.entries, c.next = m.entries[:n:n], m.entries[n].BaseOffset
	}
	return c
}

func (h *harness) append() {
	b := h.batch()
	if err := h.log.Append(b); err != nil {
		h.t.Fatalf("append: %v", err)
	}
	h.m.entries = append(h.m.entries, b...)
	h.m.next = b[len(b)-1].Next()
}

func (h *harness) step() string {
	m := &h.m
	switch k := h.r.IntN(100); {
	case k < 55:
		h.append()
		return "append"
	case k < 70:
		if err := h.log.SyncWait(); err != nil {
			h.t.Fatalf("sync: %v", err)
		}
		m.synced = m.last()
		return "sync"
	case k < 76:
		if err := h.log.Roll(); err != nil {
			h.t.Fatalf("roll: %v", err)
		}
		m.synced = m.last()
		return "roll"
	case k < 82:
		if len(m.entries) == 0 {
			return ""
		}
		i := m.first + Index(h.r.IntN(len(m.entries)))
		if m.entries[i-m.first].BaseOffset < m.start {
			return "" // raft never cuts what was committed, and only that is dropped
		}
		if err := h.log.TruncateFrom(i); err != nil {
			h.t.Fatalf("truncate from %d: %v", i, err)
		}
		m.next = m.entries[i-m.first].BaseOffset
		m.entries = m.entries[:i-m.first]
		m.synced = m.last()
		m.term++
		return fmt.Sprint("truncate ", i)
	case k < 86:
		off := m.start + Offset(h.r.IntN(int(m.next-m.start)+1))
		if err := h.log.SetStart(off); err != nil {
			h.t.Fatalf("start %d: %v", off, err)
		}
		m.start = max(m.start, off)
		h.dropped()
		return fmt.Sprint("start ", off)
	case k < 92:
		if err := h.log.Close(); err != nil {
			h.t.Fatalf("close: %v", err)
		}
		h.checkClosed(h.log)
		if rec := h.open(); rec.TornBytes != 0 {
			h.t.Fatalf("torn tail after a clean close: %+v", rec)
		}
		m.synced = m.last()
		return "reopen"
	case k < 96 && h.rule == nil:
		return h.crash()
	}
	h.check()
	return "check"
}

// dropped makes the model forget what SetStart dropped: whole segments, never
// an entry at or after the start.
func (h *harness) dropped() {
	m, first := &h.m, h.log.FirstIndex()
	if first < m.first || first > m.last()+1 {
		h.t.Fatalf("first index %d, want within [%d, %d]", first, m.first, m.last()+1)
	}
	for ; m.first < first; m.first++ {
		if m.entries[0].Next() > m.start {
			h.t.Fatalf("entry %d with offset %d dropped, start %d", m.first, m.entries[0].BaseOffset, m.start)
		}
		m.entries = m.entries[1:]
	}
}

// crash loses power: what was synced is there, what was not is a prefix.
func (h *harness) crash() string {
	m := &h.m
	h.fs = h.fs.Crash(h.r.Uint64())
	h.open()
	last := h.log.LastIndex()
	if last < m.synced || last > m.last() {
		h.t.Fatalf("last index %d after a crash, want within [%d, %d]", last, m.synced, m.last())
	}
	m.entries = m.entries[:last+1-m.first]
	m.next = h.log.NextOffset()
	want := m.next
	if n := len(m.entries); n > 0 {
		want = m.entries[n-1].Next()
	}
	if m.next != want {
		h.t.Fatalf("next offset %d after a crash, want %d", m.next, want)
	}
	m.synced = last // recovery makes durable what it finds
	if d := h.log.DurableIndex(); d != last {
		h.t.Fatalf("durable index %d after a crash, want %d", d, last)
	}
	return "crash"
}

func same(a, b segment.Entry) bool {
	p, q := a.Payload, b.Payload
	a.Payload, b.Payload = nil, nil
	return fmt.Sprint(a) == fmt.Sprint(b) && bytes.Equal(p, q)
}

// check compares every way to read with the slice.
func (h *harness) check() {
	h.t.Helper()
	m, l := &h.m, h.log
	if l.FirstIndex() != m.first || l.LastIndex() != m.last() || l.NextOffset() != m.next || l.StartOffset() != m.start {
		h.t.Fatalf("bounds first %d last %d next %d start %d, want %d %d %d %d", l.FirstIndex(), l.LastIndex(),
			l.NextOffset(), l.StartOffset(), m.first, m.last(), m.next, m.start)
	}
	for i, e := range m.entries {
		if term, err := l.Term(m.first + Index(i)); err != nil || term != e.Term {
			h.t.Fatalf("term of %d: %d, %v, want %d", m.first+Index(i), term, err, e.Term)
		}
	}
	if _, err := l.Term(m.last() + 1); !errors.Is(err, ErrUnavailable) {
		h.t.Fatalf("term after the end: %v", err)
	}
	h.checkRefusals()
	if len(m.entries) > 0 {
		h.checkEntries()
	}
	h.checkRead()
	h.checkTimestamps()
}

// checkRefusals asks for what is not there.
func (h *harness) checkRefusals() {
	h.t.Helper()
	m, l := &h.m, h.log
	refuse := func(what string, err, want error) {
		h.t.Helper()
		if !errors.Is(err, want) {
			h.t.Fatalf("%s: %v, want %v", what, err, want)
		}
	}
	entries := func(lo, hi Index) error { _, err := l.Entries(lo, hi, 1<<20, nil); return err }
	read := func(from Offset) error { _, _, err := l.Read(from, from+1, 1, nil); return err }
	if m.first > 2 {
		_, err := l.Term(m.first - 2)
		refuse("term of a dropped entry", err, ErrCompacted)
	}
	if m.first > 1 {
		refuse("dropped entries", entries(m.first-1, m.last()+1), ErrCompacted)
		refuse("truncation below the first entry", l.TruncateFrom(m.first-1), ErrCompacted)
	}
	if m.start > 0 {
		refuse("read below the start", read(m.start-1), ErrOffsetOutOfRange)
	}
	refuse("entries behind the end", entries(max(m.first, m.last()), m.last()+2), ErrUnavailable)
	refuse("start behind the end", l.SetStart(m.next+1), ErrOffsetOutOfRange)
	refuse("nothing of entries", entries(m.first, m.first), nil)
	refuse("truncation behind the end", l.TruncateFrom(m.last()+1), nil)
	refuse("a start that has passed", l.SetStart(m.start), nil)
}

// checkClosed asks a closed log.
func (h *harness) checkClosed(l *Log) {
	h.t.Helper()
	_, term := l.Term(1)
	_, entries := l.Entries(1, 2, 1, nil)
	_, _, read := l.Read(0, 1, 1, nil)
	_, _, _, find := l.FindTimestamp(1, 0)
	_, _, _, most := l.LastMaxTimestamp()
	for what, err := range map[string]error{"append": l.Append(h.m.batch(rand.New(rand.NewPCG(1, 1)), 10)), "sync": l.SyncWait(), "roll": l.Roll(), "truncate": l.TruncateFrom(1),
		"start": l.SetStart(1 << 40), "close": l.Close(), "term": term, "entries": entries, "read": read, "find": find, "greatest": most} {
		if !errors.Is(err, ErrClosed) {
			h.t.Fatalf("%s of a closed log: %v", what, err)
		}
	}
}

func (h *harness) checkEntries() {
	h.t.Helper()
	m := &h.m
	lo := m.first + Index(h.r.IntN(len(m.entries)))
	hi := lo + 1 + Index(h.r.IntN(int(m.last()-lo)+1))
	limit := int64(h.r.IntN(3000))
	got, err := h.log.Entries(lo, hi, limit, nil)
	if err != nil || len(got) == 0 {
		h.t.Fatalf("entries [%d, %d): %d, %v", lo, hi, len(got), err)
	}
	total := int64(0)
	for i, e := range got {
		if !same(e, m.entries[lo+Index(i)-m.first]) {
			h.t.Fatalf("entry %d differs: %+v", lo+Index(i), e)
		}
		total += int64(len(e.Payload))
	}
	if total > limit && len(got) > 1 {
		h.t.Fatalf("entries: %d bytes in %d, limit %d", total, len(got), limit)
	}
	if n := lo + Index(len(got)); n < hi && total+int64(len(m.entries[n-m.first].Payload)) <= limit {
		h.t.Fatalf("entries stopped early at %d", n)
	}
}

func (h *harness) checkRead() {
	h.t.Helper()
	m := &h.m
	from := m.start + Offset(h.r.IntN(int(m.next-m.start)+1))
	upTo := from + Offset(h.r.IntN(int(m.next-from)+2))
	limit := 1 + h.r.IntN(3000)
	got, ref, err := h.log.Read(from, upTo, limit, nil)
	if err != nil {
		h.t.Fatalf("read [%d, %d): %v", from, upTo, err)
	}
	var want []segment.Entry
	total := 0
	for _, e := range m.entries {
		if e.Count == 0 || e.Next() <= from || e.BaseOffset >= upTo || total >= limit {
			continue
		}
		want = append(want, e)
		total += len(e.Payload)
	}
	if len(got) != len(want) {
		h.t.Fatalf("read [%d, %d) limit %d: %d entries, want %d", from, upTo, limit, len(got), len(want))
	}
	for i := range got {
		if !same(got[i], want[i]) {
			h.t.Fatalf("read: entry %d differs", got[i].Index)
		}
	}
	ref.Release()
	if _, _, err := h.log.Read(m.next+1, m.next+2, 1, nil); !errors.Is(err, ErrOffsetOutOfRange) {
		h.t.Fatalf("read after the end: %v", err)
	}
}

func (h *harness) checkTimestamps() {
	h.t.Helper()
	m := &h.m
	ts := int64(1000 + h.r.IntN(110))
	from := m.start + Offset(h.r.IntN(int(m.next-m.start)+1))
	var want, most *segment.Entry
	for i := range m.entries {
		e := &m.entries[i]
		if want == nil && e.Count > 0 && e.Next() > from && e.MaxTimestamp >= ts {
			want = e
		}
		if e.Count > 0 && e.Next() > m.start && (most == nil || e.MaxTimestamp > most.MaxTimestamp) {
			most = e
		}
	}
	got, ref, ok, err := h.log.FindTimestamp(ts, from)
	if err != nil || ok != (want != nil) || ok && !same(got, *want) {
		h.t.Fatalf("timestamp %d from %d: %v %v, want %v", ts, from, got.Index, err, want)
	}
	ref.Release()
	got, ref, ok, err = h.log.LastMaxTimestamp()
	if err != nil || ok != (most != nil) || ok && !same(got, *most) {
		h.t.Fatalf("greatest timestamp: %v %v, want %v", got.Index, err, most)
	}
	ref.Release()
}

// TestModel runs random operations, reopening and losing power in between,
// beside a slice. CHRONIK_SEED replays one seed.
func TestModel(t *testing.T) {
	first, count := uint64(1), 60
	if s := os.Getenv("CHRONIK_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, count = n, 1
	}
	for seed := first; seed < first+uint64(count); seed++ {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := &harness{t: t, r: rand.New(rand.NewPCG(seed, 1)), fs: vfs.NewMem(), size: 16 << 10, m: model{first: 1, term: 1}}
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("replay: CHRONIK_SEED=%d go test ./wal -run TestModel", seed)
				}
			})
			h.open()
			for range 150 {
				h.step()
			}
			h.check()
		})
		if !ok {
			break
		}
	}
}

// batchAfter is one entry that follows the log.
func (h *harness) batchAfter(l *Log) []segment.Entry {
	return []segment.Entry{{Index: l.LastIndex() + 1, Term: h.m.term + 1, Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: 1,
		MaxTimestamp: 1, Payload: []byte("after the crash")}}
}
