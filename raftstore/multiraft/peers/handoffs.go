package peers

// Handoffs are the snapshots that a leader has on their way to members.
type Handoffs struct {
	list []handoff
}

type handoff struct {
	node  uint64
	ticks int
}

// Any tells that there are some.
func (h *Handoffs) Any() bool { return len(h.list) > 0 }

// Add notes that one was sent to a node.
func (h *Handoffs) Add(node uint64) { h.list = append(h.list, handoff{node: node}) }

// End forgets those that are over, and says how many. They grow older by the
// ticks given.
func (h *Handoffs) End(ticks int, over func(node uint64, age int) bool) (ended int) {
	rest := h.list[:0]
	for _, s := range h.list {
		s.ticks += ticks
		if over(s.node, s.ticks) {
			ended++
		} else {
			rest = append(rest, s)
		}
	}
	if h.list = rest; len(rest) == 0 {
		h.list = nil
	}
	return ended
}
