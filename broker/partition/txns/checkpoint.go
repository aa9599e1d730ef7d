package txns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"chronik/broker/partition/producers"
	"chronik/segment"
)

// The checkpoint, little-endian; the segment that carries it hashes it:
//
//	version u16 (3), bytes u32 of what follows, up to the producers
//	from i64: what was aborted below is in pages
//	pages u32, and of each: end of its segment i64, first i64, last i64
//	open u32, and of each: id i64, epoch i16, first i64
//	fences u32, and of each: id i64, epoch i16, coordinator epoch i32, offset i64, ms of the marker i64
//	aborted u32, and of each: id i64, first i64, last i64
//	then the checkpoint of the producers, of version 2
//
// Where there is nothing of transactions the checkpoint is that of the producers
// alone, as earlier releases write and read it. Of both, as of the same
// offset, batches below are in it.
const (
	checkpointVersion = 3
	prefixBytes       = 2 + 4
	pageBytes         = 8 + 8 + 8
	openBytes         = 8 + 2 + 8
	fenceBytes        = 8 + 2 + 4 + 8 + 8
	abortedBytes      = 8 + 8 + 8
)

// ErrCheckpoint says that a checkpoint cannot be read.
var ErrCheckpoint = errors.New("checkpoint of transactions is malformed")

// Checkpoint is the ledger as of an offset that is not below the end of the
// log, for a segment that ends at end. sealed reports whether a segment that
// ended at an offset has been sealed with the checkpoint that was made for it;
// start is the log start.
func (l *Ledger) Checkpoint(of producers.AsOf, end, start int64, sealed func(end int64) bool) []byte {
	seqs := l.Sequences.Checkpoint(of)
	body := l.Txns.checkpoint(int64(of.Offset), end, start, sealed)
	if body == nil {
		return seqs
	}
	le := binary.LittleEndian
	out := le.AppendUint32(le.AppendUint16(nil, checkpointVersion), uint32(len(body)))
	out = append(append(out, body...), seqs...)
	if len(out) > segment.CheckpointBytesMax { // the log leaves it out
		l.Txns.made = noPage
	}
	return out
}

func (t *Table) checkpoint(to, end, start int64, sealed func(end int64) bool) []byte {
	t.TurnPage(start, sealed)
	le := binary.LittleEndian
	out := le.AppendUint64(nil, uint64(t.from))
	out = le.AppendUint32(out, uint32(len(t.pages)))
	for _, p := range t.pages {
		out = le.AppendUint64(le.AppendUint64(le.AppendUint64(out, uint64(p.end)), uint64(p.first)), uint64(p.last))
	}
	open := slices.DeleteFunc(slices.Clone(t.order), func(x *txn) bool { return x.first >= to || x.last >= 0 && x.last < to })
	out = le.AppendUint32(out, uint32(len(open)))
	for _, x := range open {
		out = le.AppendUint64(le.AppendUint16(le.AppendUint64(out, uint64(x.id)), uint16(x.epoch)), uint64(x.first))
	}
	marks := t.fences.asOf(to)
	out = le.AppendUint32(out, uint32(len(marks)))
	for _, m := range marks {
		out = le.AppendUint32(le.AppendUint16(le.AppendUint64(out, uint64(m.id)), uint16(m.epoch)), uint32(m.coordinator))
		out = le.AppendUint64(le.AppendUint64(out, uint64(m.at)), uint64(m.seen))
	}
	n := 0
	for n < len(t.aborted) && t.aborted[n].Last < to {
		n++
	}
	out = le.AppendUint32(out, uint32(n))
	for _, a := range t.aborted[:n] {
		out = le.AppendUint64(le.AppendUint64(le.AppendUint64(out, uint64(a.ProducerID)), uint64(a.First)), uint64(a.Last))
	}
	t.made = made{pageOf(end, t.aborted[:n]), to}
	if len(t.pages)+len(open)+len(marks)+n == 0 {
		return nil
	}
	return out
}

// TurnPage has the last checkpoint's page take the place of what is in memory, if
// its segment was sealed, and forgets what is before the log start.
func (t *Table) TurnPage(start int64, sealed func(end int64) bool) {
	if m := t.made; m.end >= 0 && sealed(m.end) {
		t.aborted = slices.Clone(slices.DeleteFunc(t.aborted, func(a Aborted) bool { return a.Last < m.to }))
		t.from = max(t.from, m.to)
		t.addPage(m.page)
	}
	t.made = noPage
	t.pages = slices.DeleteFunc(t.pages, func(p page) bool { return p.last < start })
	t.aborted = slices.DeleteFunc(t.aborted, func(a Aborted) bool { return a.Last < start })
}

func (t *Table) addPage(p page) {
	if p.last >= 0 {
		t.pages = append(t.pages, p)
	}
}

// pageOf is the page that has these; its last is -1 when there are none.
func pageOf(end int64, of []Aborted) page {
	p := page{end: end, first: -1, last: -1}
	for i, a := range of {
		if i == 0 || a.First < p.first {
			p.first = a.First
		}
		p.last = a.Last
	}
	return p
}

// Load puts what Checkpoint wrote into the empty ledger, and changes of to what
// it covers. end is the end of the segment that carries it.
func (l *Ledger) Load(b []byte, end int64, of *producers.AsOf) error {
	body, seqs, err := split(b)
	if err != nil {
		return err
	}
	if err := l.Sequences.Load(seqs, of); err != nil {
		return err
	}
	t := l.Txns
	t.base, t.from, t.top = int64(of.Offset), int64(of.Offset), int64(of.Offset)
	if body == nil {
		return nil
	}
	r := reader{b: body}
	r.i64() // from: the pages and this one have what was aborted below
	for range r.count(pageBytes) {
		t.pages = append(t.pages, page{r.i64(), r.i64(), r.i64()})
	}
	for range r.count(openBytes) {
		t.begin(r.i64(), int16(r.u(2)), r.i64())
	}
	for range r.count(fenceBytes) {
		t.fences.fold(fence{r.i64(), int16(r.u(2)), int32(r.u(4)), r.i64(), r.i64()})
	}
	t.addPage(pageOf(end, r.aborted()))
	return r.end()
}

// PageAborted finds in a checkpoint the aborted transactions that concern
// [from, upTo).
func PageAborted(dst []Aborted, b []byte, from, upTo int64) ([]Aborted, error) {
	body, _, err := split(b)
	if err != nil || body == nil {
		return dst, err
	}
	r := reader{b: body}
	r.i64()
	r.skip(r.count(pageBytes) * pageBytes)
	r.skip(r.count(openBytes) * openBytes)
	r.skip(r.count(fenceBytes) * fenceBytes)
	all := r.aborted()
	return overlapping(dst, all, from, upTo), r.end()
}

// split takes a checkpoint into that of the transactions, nil when there is
// none, and that of the producers.
func split(b []byte) (body, seqs []byte, err error) {
	if len(b) < prefixBytes || binary.LittleEndian.Uint16(b) < checkpointVersion {
		return nil, b, nil
	}
	if v := binary.LittleEndian.Uint16(b); v > checkpointVersion {
		return nil, nil, fmt.Errorf("%w: version %d, this release reads up to %d", ErrCheckpoint, v, checkpointVersion)
	}
	n := binary.LittleEndian.Uint32(b[2:])
	if b = b[prefixBytes:]; n == 0 || uint64(n) >= uint64(len(b)) { // the producers follow
		return nil, nil, fmt.Errorf("%w: %d bytes of %d", ErrCheckpoint, n, len(b))
	}
	return b[:n:n], b[n:], nil
}

// reader reads the fields of a checkpoint; after the first that is not there all
// are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) u(n int) (v uint64) {
	if len(r.b) < n {
		r.bad, r.b = true, nil
		return 0
	}
	for i := n - 1; i >= 0; i-- {
		v = v<<8 | uint64(r.b[i])
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) i64() int64 { return int64(r.u(8)) }

// count is how many things of a size follow; not more than there are bytes for.
func (r *reader) count(size int) int {
	n := r.u(4)
	if n > uint64(len(r.b)/size) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) skip(n int) { r.b = r.b[n:] }

func (r *reader) aborted() []Aborted {
	all := make([]Aborted, r.count(abortedBytes))
	for i := range all {
		all[i] = Aborted{r.i64(), r.i64(), r.i64()}
	}
	return all
}

func (r *reader) end() error {
	if r.bad || len(r.b) != 0 {
		return fmt.Errorf("%w: its counts do not fit its bytes", ErrCheckpoint)
	}
	return nil
}
