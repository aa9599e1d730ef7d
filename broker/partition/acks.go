package partition

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
	AcksNone   Acks = 0  // at once; durable on the leader while pendingBytesMax wait
	AcksLeader Acks = 1  // durable on the leader
	AcksAll    Acks = -1 // committed
)

type waitingAck struct {
	to    Acker
	token int
	r     Result
}

// ackQueue holds acknowledgements in the order they were asked for, which is
// that of their last offsets but for duplicates: one may stand behind a newer
// batch, and then is told no sooner than that one.
type ackQueue struct {
	q    []waitingAck
	head int
}

func (a *ackQueue) push(w waitingAck) { a.q = append(a.q, w) }

func (a *ackQueue) len() int { return len(a.q) - a.head }

// end answers every entry whose last offset lies below reached: with its
// result, or with an error if there is one.
func (a *ackQueue) end(reached int64, cause error) {
	for a.head < len(a.q) && a.q[a.head].r.LastOffset < reached {
		w := a.q[a.head]
		a.q[a.head] = waitingAck{}
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

func (a *ackQueue) failAll(cause error) {
	q := a.q[a.head:]
	a.q, a.head = nil, 0
	for _, w := range q {
		w.to.Acked(w.token, refused(cause))
	}
}
