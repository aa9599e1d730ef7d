package fate

// Result is the fate of one append.
type Result struct {
	BaseOffset int64
	LastOffset int64
	Duplicate  bool  // P21: the batch was in the log already
	Timestamp  int64 // ms; of the batch that is in the log
	Err        error // nil: durable as the acks asked for
}

// Acker is told the fate of accepted appends: once for each, with the token of
// the append. It is called with the partition's lock held: it must not call
// back into the partition, and be quick.
type Acker interface {
	Acked(token int, r Result)
}

// Acks says when an append is acknowledged.
type Acks int8

// The three values of Kafka's acks.
const (
	AcksNone   Acks = 0  // at once; durable on the leader while much waits
	AcksLeader Acks = 1  // durable on the leader
	AcksAll    Acks = -1 // committed
)

type waiting struct {
	to    Acker
	token int
	r     Result
}

// Queue holds acknowledgements in the order they were asked for, which is
// that of their last offsets but for duplicates: one may stand behind a newer
// batch, and then is told no sooner than that one.
type Queue struct {
	q    []waiting
	head int
}

// Push adds one that waits until what it appended has been reached.
func (a *Queue) Push(to Acker, token int, r Result) { a.q = append(a.q, waiting{to, token, r}) }

// Len is how many wait.
func (a *Queue) Len() int { return len(a.q) - a.head }

// End answers every entry whose last offset lies below reached: with its
// result, or with an error if there is one.
func (a *Queue) End(reached int64, cause error) {
	for a.head < len(a.q) && a.q[a.head].r.LastOffset < reached {
		w := a.q[a.head]
		a.q[a.head] = waiting{}
		a.head++
		if cause != nil {
			w.r = refused(cause)
		}
		w.to.Acked(w.token, w.r)
	}
	switch {
	case a.head == len(a.q):
		a.q, a.head = a.q[:0], 0
	case a.head > 64 && a.head > len(a.q)/2:
		a.q = a.q[:copy(a.q, a.q[a.head:])]
		a.head = 0
	}
}

func refused(cause error) Result {
	return Result{BaseOffset: -1, LastOffset: -1, Timestamp: -1, Err: cause}
}

// FailAll tells all that wait that it is over.
func (a *Queue) FailAll(cause error) {
	q := a.q[a.head:]
	a.q, a.head = nil, 0
	for _, w := range q {
		w.to.Acked(w.token, refused(cause))
	}
}
