package calls

// Mark says whose a command is: of which node, and the how-manieth. The upper
// half of Seq is another one in each process.
type Mark struct {
	Node int32
	Seq  uint64
}

// Admissions are the commands of other nodes that this node has proposed as
// the leader of its term. A call that is made again does not propose again.
type Admissions map[int32][]*admission // by node, of its latest processes

// admission is of one process.
type admission struct {
	life uint64 // upper half of its sequence numbers
	most uint64 // greatest lower half
	seen map[uint64]struct{}
}

const (
	// admissionsMax is how many commands of one process are remembered. One
	// that is older than all of them is refused.
	admissionsMax = 4096
	// livesMax is how many processes of a node are: calls of the one before
	// may still be under way.
	livesMax = 4
)

// Admit notes a command. It is fresh when it has not been admitted before;
// known is false when that is not remembered.
func (as Admissions) Admit(at Mark) (fresh, known bool) {
	a, seq := as.of(at), at.Seq&(1<<32-1)
	if seq+admissionsMax <= a.most {
		return false, false
	}
	if _, twice := a.seen[seq]; twice {
		return false, true
	}
	a.seen[seq] = struct{}{}
	if seq > a.most {
		a.most = seq
	}
	if len(a.seen) > 2*admissionsMax {
		for s := range a.seen {
			if s+admissionsMax <= a.most {
				delete(a.seen, s)
			}
		}
	}
	return true, true
}

func (as Admissions) of(at Mark) *admission {
	life := at.Seq >> 32
	for _, a := range as[at.Node] {
		if a.life == life {
			return a
		}
	}
	lives := append(as[at.Node], &admission{life: life, seen: map[uint64]struct{}{}})
	as[at.Node] = lives[max(0, len(lives)-livesMax):]
	return lives[len(lives)-1]
}
