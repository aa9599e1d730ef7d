package transaction

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// State is the state of a transaction, with Kafka's numbers.
type State int8

const (
	Empty State = iota
	Ongoing
	PrepareCommit
	PrepareAbort
	CompleteCommit
	CompleteAbort
	Dead
	PrepareEpochFence
)

var stateNames = [...]string{
	"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
}

// String is Kafka's name of the state.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int8(s))
	}
	return stateNames[s]
}

// StateNamed is the state of that name; false when there is none.
func StateNamed(name string) (State, bool) {
	i := slices.Index(stateNames[:], name)
	return State(i), i >= 0
}

func (s State) prepared() bool { return s == PrepareCommit || s == PrepareAbort }

// Partition names a partition of a topic.
type Partition struct {
	Topic string
	Index int32
}

// entry is what the log says of a transactional id. Its maps are not changed
// once it is in a Shard: a change is a new entry.
type entry struct {
	producerID int64
	previousID int64 // before the epochs of it were used up; -1 none
	epoch      int16
	lastEpoch  int16 // before the producer itself raised it (T7); -1 none. Not in the log
	timeoutMs  int32
	state      State
	topics     map[string]map[int32]struct{} // partitions that are in the transaction
	updatedMs  int64
	startMs    int64 // -1: no transaction
}

// with is the topics and some partitions more; the memory is its own.
func (e *entry) with(more []Partition) map[string]map[int32]struct{} {
	out := make(map[string]map[int32]struct{}, len(e.topics)+1)
	for name, parts := range e.topics {
		out[name] = maps.Clone(parts)
	}
	for _, p := range more {
		if out[p.Topic] == nil {
			out[strings.Clone(p.Topic)] = map[int32]struct{}{}
		}
		out[p.Topic][p.Index] = struct{}{}
	}
	return out
}

func (e *entry) has(p Partition) bool {
	_, ok := e.topics[p.Topic][p.Index]
	return ok
}

// partitions in the order of topic and index.
func (e *entry) partitions() (out []Partition) {
	for _, name := range slices.Sorted(maps.Keys(e.topics)) {
		for _, i := range slices.Sorted(maps.Keys(e.topics[name])) {
			out = append(out, Partition{name, i})
		}
	}
	return out
}

// What an id and what it has take in memory, rounded up; BenchmarkMemory
// measures it.
const (
	idBytes        = 500
	topicBytes     = 350
	partitionBytes = 40
)

func (e *entry) weight() (bytes int) {
	for name, parts := range e.topics {
		bytes += topicBytes + len(name) + partitionBytes*len(parts)
	}
	return bytes
}

// Versions of the records that are written.
const (
	keyVersion   = 0
	valueVersion = 1
)

// ErrMalformed is under every error of Load: bytes that do not decode.
var ErrMalformed = errors.New("malformed transaction record")

func encodeKey(id string) []byte {
	w := wire.NewWriter(make([]byte, 0, 2+wire.StringRoom+len(id)))
	w.Int16(keyVersion)
	(&msg.TransactionLogKey{TransactionalId: id}).Encode(w, keyVersion)
	return encoded(w)
}

func (e *entry) encode() []byte {
	x := msg.TransactionLogValue{
		ProducerId: e.producerID, PreviousProducerId: e.previousID, NextProducerId: -1, ProducerEpoch: e.epoch, NextProducerEpoch: -1,
		TransactionTimeoutMs: e.timeoutMs, TransactionStatus: int8(e.state),
		TransactionLastUpdateTimestampMs: e.updatedMs, TransactionStartTimestampMs: e.startMs,
	}
	if e.state != Empty {
		x.TransactionPartitions = []msg.PartitionsSchema{}
	}
	for _, p := range e.partitions() {
		n := len(x.TransactionPartitions)
		if n == 0 || x.TransactionPartitions[n-1].Topic != p.Topic {
			x.TransactionPartitions = append(x.TransactionPartitions, msg.PartitionsSchema{Topic: p.Topic})
			n++
		}
		at := &x.TransactionPartitions[n-1]
		at.PartitionIds = append(at.PartitionIds, p.Index)
	}
	w := wire.NewWriter(make([]byte, 0, 128))
	w.Int16(valueVersion)
	x.Encode(w, valueVersion)
	return encoded(w)
}

// encoded is the writer's output. What does not fit into a record is refused
// before, so an error here is ours.
func encoded(w *wire.Writer) []byte {
	if err := w.Err(); err != nil {
		panic(fmt.Sprintf("BUG: transaction: record does not encode: %v", err))
	}
	return w.Bytes()
}

// decodeKey reads a key; false for one of another type.
func decodeKey(b []byte) (id string, ours bool, err error) {
	r := wire.NewReader(b)
	if v := r.Int16(); r.Err() == nil && v != keyVersion {
		return "", false, nil
	}
	var x msg.TransactionLogKey
	x.Decode(&r, keyVersion)
	if err := r.Err(); err != nil {
		return "", false, fmt.Errorf("%w: key: %w", ErrMalformed, err)
	}
	return strings.Clone(x.TransactionalId), true, nil
}

func decodeEntry(b []byte) (*entry, error) {
	var x msg.TransactionLogValue
	r := wire.NewReader(b)
	msg.DecodeVersioned(&r, &x)
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: value: %w", ErrMalformed, err)
	}
	e := &entry{
		producerID: x.ProducerId, previousID: x.PreviousProducerId, epoch: x.ProducerEpoch, lastEpoch: -1,
		timeoutMs: x.TransactionTimeoutMs, state: State(x.TransactionStatus),
		updatedMs: x.TransactionLastUpdateTimestampMs, startMs: x.TransactionStartTimestampMs,
	}
	if e.state < Empty || e.state > CompleteAbort {
		return nil, fmt.Errorf("%w: value: status %d", ErrMalformed, x.TransactionStatus)
	}
	e.topics = make(map[string]map[int32]struct{}, len(x.TransactionPartitions))
	for _, t := range x.TransactionPartitions {
		for _, i := range t.PartitionIds {
			name := t.Topic
			if e.topics[name] == nil {
				name = strings.Clone(name)
				e.topics[name] = map[int32]struct{}{}
			}
			e.topics[name][i] = struct{}{}
		}
	}
	return e, nil
}
