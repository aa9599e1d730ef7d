package effect

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Token names a call that a Reply will answer. The caller chooses it; it must be unique among the unanswered ones.
type Token uint64

// AppendID names an Append. Ids ascend in the order in which the records must reach the log.
type AppendID uint64

// Effects is what a call wants done outside. Calls append to it and never read it; Reset makes it usable again.
type Effects struct {
	Replies []Reply
	Appends []Append
}

// Reset empties fx and keeps its memory.
func (fx *Effects) Reset() {
	clear(fx.Replies)
	clear(fx.Appends)
	fx.Replies, fx.Appends = fx.Replies[:0], fx.Appends[:0]
}

// Answer replies to the call that brought tok.
func (fx *Effects) Answer(tok Token, response any) {
	fx.Replies = append(fx.Replies, Reply{Token: tok, Response: response})
}

// Reply answers the call that brought Token, with the response type of that call.
type Reply struct {
	Token    Token
	Response any
}

// Append asks for Records to be written to the partition as one batch, durable on a quorum, and for its outcome.
type Append struct {
	ID      AppendID
	Records []Record
	Txn     *Txn    // the transaction that they belong to; nil: none
	Marker  *Marker // the end of a transaction, in place of Records
}

// Txn is a producer whose transaction records belong to.
type Txn struct {
	ProducerID int64
	Epoch      int16
}

// Marker ends the transaction of a producer in one partition (T51).
type Marker struct {
	Txn
	CoordinatorEpoch int32
	Commit           bool
}

// Record is one record of __consumer_offsets. A nil Value is a tombstone. The bytes belong to the receiver.
type Record struct{ Key, Value []byte }

// LoadStats counts what a state machine was given to load.
type LoadStats struct {
	Records   int // all of them
	Skipped   int // of a key type that is not its own
	Malformed int // its own, but not decodable
}

// Pending says what becomes of an emitted Append. A nil function means nothing to do.
//
//	committed                      -> Applied, then Answer(None)
//	failed                         -> Dropped, then Answer(error)
//	in doubt, then one of the two  -> Answer(error) first, then Applied or Dropped
type Pending struct {
	Applied func(now time.Time, fx *Effects)
	Dropped func(now time.Time, fx *Effects)
	Answer  func(now time.Time, err Error, fx *Effects)

	answered bool
}

// Log is the appends of a state machine that have no outcome yet. The zero value has none.
type Log struct {
	last AppendID
	open map[AppendID]*Pending
}

// Emit asks for records to be appended and remembers what follows from the outcome.
func (l *Log) Emit(fx *Effects, records []Record, p Pending) AppendID {
	return l.EmitAppend(fx, Append{Records: records}, p)
}

// EmitAppend is Emit for records of a transaction and for markers. It gives the append its id.
func (l *Log) EmitAppend(fx *Effects, a Append, p Pending) AppendID {
	if l.open == nil {
		l.open = map[AppendID]*Pending{}
	}
	l.last++
	l.open[l.last] = &p
	a.ID = l.last
	fx.Appends = append(fx.Appends, a)
	return l.last
}

// Last is the id that was given last.
func (l *Log) Last() AppendID { return l.last }

// Open reports whether an append has no final outcome yet.
func (l *Log) Open(id AppendID) bool { return l.open[id] != nil }

// Quiet reports whether every append has its final outcome.
func (l *Log) Quiet() bool { return len(l.open) == 0 }

// Settle takes the outcome of an append. One that is in doubt stays open.
func (l *Log) Settle(now time.Time, id AppendID, err error, fx *Effects) {
	p := l.open[id]
	if p == nil {
		panic(fmt.Sprintf("BUG: group: outcome of append %d, which is not open", id))
	}
	if !inDoubt(err) {
		delete(l.open, id)
		if err == nil && p.Applied != nil {
			p.Applied(now, fx)
		} else if err != nil && p.Dropped != nil {
			p.Dropped(now, fx)
		}
	}
	p.answer(now, fromAppend(err), fx)
}

func (p *Pending) answer(now time.Time, err Error, fx *Effects) {
	if !p.answered && p.Answer != nil {
		p.Answer(now, err, fx)
	}
	p.answered = true
}

// GiveUp answers everything that is open with err, and forgets it.
func (l *Log) GiveUp(now time.Time, err Error, fx *Effects) {
	for _, id := range slices.Sorted(maps.Keys(l.open)) {
		l.open[id].answer(now, err, fx)
	}
	l.open = nil
}
