package txns

// Permits are the transactions that a leader has asked the coordinators for,
// and may begin. A marker takes the permit away, also while it is being asked
// for: what was allowed before a transaction ended must not begin it again,
// for nobody would end it. The zero value has none.
type Permits struct {
	asked map[int64]*Permit
}

// Permit is one that is asked for, or given.
type Permit struct {
	epoch int16
	given bool
}

// permitsMax bounds them; beyond it some are forgotten, and asked for again.
const permitsMax = 10_000

// Ask begins to ask for a producer's next transaction.
func (p *Permits) Ask(id int64, epoch int16) *Permit {
	if p.asked == nil {
		p.asked = map[int64]*Permit{}
	}
	if now := p.asked[id]; now != nil && now.epoch == epoch {
		return now // another batch of it asks too
	}
	for other := range p.asked {
		if len(p.asked) < permitsMax {
			break
		}
		delete(p.asked, other)
	}
	p.asked[id] = &Permit{epoch: epoch}
	return p.asked[id]
}

// Give gives the permit. One that a marker has taken away meanwhile stays away.
func (p *Permit) Give() { p.given = true }

// Has reports whether a producer may begin a transaction.
func (p *Permits) Has(id int64, epoch int16) bool {
	now := p.asked[id]
	return now != nil && now.given && now.epoch == epoch
}

// Take takes a producer's permit away: it is used, or not valid any more.
func (p *Permits) Take(id int64) { delete(p.asked, id) }

// Clear takes all away.
func (p *Permits) Clear() { p.asked = nil }
