package txns

import (
	"container/list"
	"slices"
)

// fence is the last marker of a producer: what is older than it is refused.
type fence struct {
	id          int64
	epoch       int16
	coordinator int32
	at          int64 // offset
	seen        int64 // ms, when it was written
}

// fences keeps the last markers of the producers whose markers are the newest,
// max of them at most. Which ones follows from the log: markers that are not in
// it yet wait, and put out nobody.
type fences struct {
	max     int
	written int64
	byID    map[int64]*list.Element
	order   *list.List // of *fence, the one whose marker is oldest first
	waiting []fence    // by offset
}

func (f *fences) init(max int, written int64) {
	f.max, f.written, f.byID, f.order = max, written, map[int64]*list.Element{}, list.New()
}

// put notes a marker. Of one producer they come in order of their offsets.
func (f *fences) put(m fence) {
	if m.at >= f.written {
		f.waiting = append(f.waiting, m)
		return
	}
	f.fold(m)
}

func (f *fences) fold(m fence) {
	if e := f.byID[m.id]; e != nil {
		old := e.Value.(*fence)
		m.epoch, m.coordinator, m.seen = max(m.epoch, old.epoch), max(m.coordinator, old.coordinator), max(m.seen, old.seen)
		*old = m
		f.order.MoveToBack(e)
		return
	}
	if f.order.Len() >= f.max {
		f.remove(f.order.Front())
	}
	f.byID[m.id] = f.order.PushBack(&m)
}

func (f *fences) remove(e *list.Element) { delete(f.byID, f.order.Remove(e).(*fence).id) }

// settle notes the new end of the log.
func (f *fences) settle(written int64) {
	f.written = written
	n := 0
	for n < len(f.waiting) && f.waiting[n].at < written {
		f.fold(f.waiting[n])
		n++
	}
	f.waiting = slices.Delete(f.waiting, 0, n)
}

// of is what is known of a producer's markers, on their way to the log or in it.
func (f *fences) of(id int64) (known fence, ok bool) {
	if e := f.byID[id]; e != nil {
		known, ok = *e.Value.(*fence), true
	}
	for _, w := range f.waiting {
		if w.id == id {
			known, ok = w, true
		}
	}
	return known, ok
}

// asOf is the markers below an offset that is not below the end of the log.
func (f *fences) asOf(end int64) (out []fence) {
	for e := f.order.Front(); e != nil; e = e.Next() {
		out = append(out, *e.Value.(*fence))
	}
	for _, w := range f.waiting {
		if w.at < end {
			out = append(out, w)
		}
	}
	return out
}

// expire forgets markers that were written before a time in ms, but for those
// of producers that keep says.
func (f *fences) expire(before int64, keep func(id int64) bool) {
	for e := f.order.Front(); e != nil; {
		next, m := e.Next(), e.Value.(*fence)
		if m.seen < before && !keep(m.id) {
			f.remove(e)
		}
		e = next
	}
}
