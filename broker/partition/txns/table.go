package txns

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"chronik/kafka/batch"
)

// OpenMax is how many transactions may be open in a partition: a leader begins
// no more.
const OpenMax = 10_000

// crowd is how many aborted transactions stay in memory before Crowded.
const crowd = 50_000

// Marker ends the transaction of a producer in a partition.
type Marker struct {
	ProducerID       int64
	Epoch            int16 // of the producer; a newer one than its batches' fences it
	CoordinatorEpoch int32 // of the transaction coordinator; an older one than before is refused
	Commit           bool  // else: abort
	Bumped           bool  // its epoch is to be newer than that of the batches (T50: transaction version 2)
}

// Aborted is a transaction that was aborted: its records lie from First on,
// before the marker at Last.
type Aborted struct {
	ProducerID  int64
	First, Last int64
}

// txn is a transaction that is open, or whose end is not committed yet.
type txn struct {
	id    int64
	epoch int16 // of its first batch
	first int64
	last  int64 // of the marker; -1: open
	done  bool  // the marker is committed
}

// page is where a sealed segment's checkpoint has aborted transactions.
type page struct {
	end         int64 // of the segment
	first, last int64 // the first record of them all, and the last marker
}

// Table is what the log says of transactions. See the package comment.
type Table struct {
	base  int64 // what had ended below was not loaded from a checkpoint
	top   int64 // behind the last batch that was noted
	open  map[int64]*txn
	order []*txn // by first: what is open, or was when the end was not committed
	ended []*txn // by last: whose markers are not known to be committed
	gone  int    // of order: done

	aborted []Aborted // by Last: those from `from` on, which no page has
	from    int64
	pages   []page // by end
	made    made

	fences fences
}

// made is the page that the last checkpoint is, if its segment is sealed with it.
type made struct {
	page
	to int64 // it has what was aborted below
}

var noPage = made{page: page{end: -1}}

// New is the empty table of a log that ends at the offset written.
func New(fencesMax int, written int64) *Table {
	t := &Table{open: map[int64]*txn{}, made: noPage}
	t.fences.init(fencesMax, written)
	return t
}

// Observe records a batch that is (or is about to be) in the log at base. now
// is in ms. A batch that is of no transaction changes nothing.
func (t *Table) Observe(h batch.View, base, now int64) {
	id, attributes := h.ProducerID(), h.Attributes()
	if id < 0 || !attributes.Transactional() {
		return
	}
	t.top = max(t.top, base+int64(h.LastOffsetDelta())+1)
	if !attributes.Control() {
		t.begin(id, h.ProducerEpoch(), base)
		return
	}
	typ, coordinator, err := batch.EndTxn(h)
	if err != nil || typ != batch.Commit && typ != batch.Abort {
		return // a control record of another kind
	}
	t.fences.put(fence{id: id, epoch: h.ProducerEpoch(), coordinator: coordinator, at: base, seen: max(now, h.MaxTimestamp())})
	t.end(id, base, typ == batch.Abort)
}

func (t *Table) begin(id int64, epoch int16, base int64) {
	if t.open[id] != nil {
		return
	}
	x := &txn{id: id, epoch: epoch, first: base, last: -1}
	t.open[id] = x
	t.order = append(t.order, x)
}

func (t *Table) end(id, at int64, abort bool) {
	x := t.open[id]
	if x == nil {
		return // T51: nothing to end
	}
	delete(t.open, id)
	x.last = at
	t.ended = append(t.ended, x)
	if abort && at >= t.from {
		t.aborted = append(t.aborted, Aborted{id, x.first, at})
	}
}

// Stable is the last stable offset while hw is the high watermark, which does
// not go back from call to call (T43). It is -1, not known, while a replica that
// has just been started knows less to be committed than its checkpoint has:
// transactions that had ended by then may have been open at hw.
func (t *Table) Stable(hw int64) int64 {
	if hw < t.base {
		return -1
	}
	n := 0
	for n < len(t.ended) && t.ended[n].last < hw {
		t.ended[n].done = true
		n++
	}
	if n > 0 {
		t.ended = slices.Delete(t.ended, 0, n)
		t.gone += n
		t.sweep()
	}
	if len(t.order) == 0 {
		return hw
	}
	return min(hw, t.order[0].first)
}

// sweep drops those of order that are done: all at its front, the others when
// they are many.
func (t *Table) sweep() {
	if t.gone > len(t.order)/2 {
		t.order = slices.DeleteFunc(t.order, func(x *txn) bool { return x.done })
		t.gone = 0
		return
	}
	n := 0
	for n < len(t.order) && t.order[n].done {
		n++
	}
	t.order = slices.Delete(t.order, 0, n)
	t.gone -= n
}

// First is the first offset of a producer's open transaction; -1: there is none.
func (t *Table) First(id int64) int64 {
	if x := t.open[id]; x != nil {
		return x.first
	}
	return -1
}

// Crowded reports whether so many aborted transactions are in memory that the
// segment had better be sealed.
func (t *Table) Crowded() bool { return len(t.aborted) >= crowd }

// Find returns the aborted transactions in memory that have records below upTo
// and a marker at or behind from, and the ends of the sealed segments in whose
// checkpoints there may be more: PageAborted finds them there.
func (t *Table) Find(from, upTo int64) (found []Aborted, pages []int64) {
	for _, p := range t.pages {
		if p.last >= from && p.first < upTo {
			pages = append(pages, p.end)
		}
	}
	return overlapping(nil, t.aborted, from, upTo), pages
}

// overlapping appends those of the aborted, which ascend by Last, that concern
// [from, upTo).
func overlapping(dst, of []Aborted, from, upTo int64) []Aborted {
	i, _ := slices.BinarySearchFunc(of, from, func(a Aborted, from int64) int { return cmp.Compare(a.Last, from) })
	for _, a := range of[i:] {
		if a.First < upTo {
			dst = append(dst, a)
		}
	}
	return dst
}

// Sort orders by First, as Kafka tells them (F9).
func Sort(a []Aborted) {
	slices.SortFunc(a, func(x, y Aborted) int { return cmp.Or(cmp.Compare(x.First, y.First), cmp.Compare(x.Last, y.Last)) })
}

// String is which transactions are open, which are not known to have ended, and
// the last markers of producers.
func (t *Table) String() string {
	var b strings.Builder
	for _, x := range t.order {
		if !x.done {
			fmt.Fprintf(&b, "%d epoch %d from %d, marker %d\n", x.id, x.epoch, x.first, x.last)
		}
	}
	for _, f := range t.fences.asOf(t.top) {
		fmt.Fprintf(&b, "%d fenced below %d, coordinator %d, at %d\n", f.id, f.epoch, f.coordinator, f.at)
	}
	return b.String()
}

// MarkersWaiting is how many markers wait for the log.
func (t *Table) MarkersWaiting() int { return len(t.fences.waiting) }
