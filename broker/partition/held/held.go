package held

import (
	"cmp"
	"slices"

	"chronik/raftstore/multiraft"
	"chronik/segment"
)

// mark tells that the log up to an entry ends at an offset.
type mark struct {
	last segment.Index
	next int64
}

// marksMax bounds how finely the progress of replicas is told in offsets.
const marksMax = 1024

// Progress is how far the other replicas are.
type Progress struct {
	replicas []multiraft.Replica
	marks    []mark
}

// Set takes note of how far the other replicas are.
func (p *Progress) Set(rs []multiraft.Replica) { p.replicas = append(p.replicas[:0], rs...) }

// Mark notes that the log up to an entry ends at an offset.
func (p *Progress) Mark(last segment.Index, next int64) {
	if len(p.marks) >= marksMax { // every second one will do
		n := 0
		for i := 1; i < len(p.marks); i += 2 {
			p.marks[n] = p.marks[i]
			n++
		}
		p.marks = p.marks[:n]
	}
	p.marks = append(p.marks, mark{last, next})
}

// Forget drops the marks below an offset that nobody waits for any more.
func (p *Progress) Forget(reached int64) {
	n := 0
	for n+1 < len(p.marks) && p.marks[n+1].next <= reached { // one below stays, to begin with
		n++
	}
	p.marks = slices.Delete(p.marks, 0, n)
}

// By is the offset up to which at least n in-sync replicas have the log, one
// that has it up to own included; where nobody has told which are in sync, isr
// is nil and all count. What it does not know to be held counts as not.
func (p *Progress) By(n int, own int64, isr []uint64) int64 {
	held := make([]int64, 1, 8)
	held[0] = own
	for _, r := range p.replicas {
		if r.Learner || isr != nil && !slices.Contains(isr, r.Node) {
			continue
		}
		i, _ := slices.BinarySearchFunc(p.marks, r.Match+1, func(m mark, i segment.Index) int { return cmp.Compare(m.last, i) })
		if i > 0 { // the last mark that it has reached
			held = append(held, p.marks[i-1].next)
		}
	}
	if n > len(held) {
		return -1
	}
	slices.Sort(held)
	return held[len(held)-n]
}
