package metadata

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"chronik/broker/cluster"
	"chronik/kafka/wire"
	"chronik/segment"
)

// The methods. Never reuse one.
const (
	methodPropose   uint8 = 1
	methodJoin      uint8 = 2
	methodHeartbeat uint8 = 3
)

// What an answer says, beside the codes of errors (sentinels), which begin at
// codeErrors. Never reuse one.
const (
	codeOK        int8 = 0
	codeNotLeader int8 = 1 // nothing was done
	codeSeen      int8 = 2 // this leader has it from an earlier call
	codeUnknown   int8 = 3 // it may have been done, or still be
	codeStorage   int8 = 4 // so may this, but there is no point in trying again
	codeErrors    int8 = 16
)

// sentinels are the errors of commands, at their code less codeErrors. Append
// only.
var sentinels = []error{
	cluster.ErrTopicExists, cluster.ErrTopicCollides, cluster.ErrUnknownTopic, cluster.ErrPartitions, cluster.ErrClusterID,
	cluster.ErrTopicID, cluster.ErrProducerIDs, cluster.ErrBrokerIDTaken, cluster.ErrBrokerID, cluster.ErrBrokerEpoch,
	cluster.ErrStaleImage, cluster.ErrInvalidTopicName, cluster.ErrReplicationFactor, cluster.ErrPartitionCount,
	cluster.ErrTooManyPartitions, cluster.ErrAssignment, cluster.ErrMalformed, cluster.ErrNewerVersion,
}

// remoteError is an error of another node's: its text, and the sentinel under
// it.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }

func (e *remoteError) Unwrap() error { return e.is }

// codeOf is an error's code and text. An error that has no code is unknown.
func codeOf(err error) (int8, string) {
	switch {
	case err == nil:
		return codeOK, ""
	case errors.Is(err, ErrStorage):
		return codeStorage, err.Error()
	}
	for i, s := range sentinels {
		if errors.Is(err, s) {
			return codeErrors + int8(i), err.Error()
		}
	}
	return codeUnknown, err.Error()
}

func errorOf(code int8, text string) error {
	switch i := int(code) - int(codeErrors); {
	case code == codeOK:
		return nil
	case code == codeNotLeader:
		return &remoteError{text, ErrNotLeader}
	case code == codeStorage:
		return &remoteError{text, ErrStorage}
	case i >= 0 && i < len(sentinels):
		return &remoteError{text, sentinels[i]}
	}
	return fmt.Errorf("another node answered with code %d: %s", code, text)
}

// rpcVersion stands at the beginning of each call and answer.
const rpcVersion int8 = 1

// begin reads the version. Calls of a newer release are refused.
func begin(b []byte) (wire.Reader, error) {
	r := wire.NewReader(slices.Clone(b)) // strings alias what they are read from
	if v := r.Int8(); r.Err() == nil && v != rpcVersion {
		return r, fmt.Errorf("a call of version %d, known is %d", v, rpcVersion)
	}
	return r, nil
}

func writer() *wire.Writer {
	w := wire.NewWriter(nil)
	w.Int8(rpcVersion)
	return w
}

// proposeRequest asks the leader of a term to propose a command.
type proposeRequest struct {
	term    segment.Term
	command []byte // cluster.Proposed
}

func (q proposeRequest) encode() []byte {
	w := writer()
	w.Int64(int64(q.term))
	return append(slices.Clone(w.Bytes()), q.command...)
}

func decodeProposeRequest(b []byte) (q proposeRequest, p cluster.Proposed, err error) {
	r, err := begin(b)
	if err != nil {
		return q, p, err
	}
	q.term = segment.Term(r.Int64())
	if r.Err() != nil {
		return q, p, r.Err()
	}
	q.command = r.Rest()
	p, rest, err := cluster.Decode(q.command)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: bytes behind it", cluster.ErrMalformed)
	}
	return q, p, err
}

// proposeAnswer is what came of it.
type proposeAnswer struct {
	code    int8
	text    string
	version uint64
	first   int64
}

func (a proposeAnswer) err() error { return errorOf(a.code, a.text) }

func (a proposeAnswer) encode() []byte {
	w := writer()
	w.Int8(a.code)
	w.String(a.text, true)
	w.Int64(int64(a.version))
	w.Int64(a.first)
	return w.Bytes()
}

func decodeProposeAnswer(b []byte) (proposeAnswer, error) {
	r, err := begin(b)
	if err != nil {
		return proposeAnswer{}, err
	}
	a := proposeAnswer{code: r.Int8(), text: r.String(true), version: uint64(r.Int64()), first: r.Int64()}
	return a, r.Done()
}

// joinRequest asks to be let in.
type joinRequest struct{ self cluster.Broker }

func (q joinRequest) encode() []byte {
	w := writer()
	return append(slices.Clone(w.Bytes()), cluster.Proposed{Node: q.self.ID, Command: cluster.Register(q.self)}.Append(nil)...)
}

func decodeJoinRequest(b []byte) (*cluster.RegisterBroker, error) {
	r, err := begin(b)
	if err != nil {
		return nil, err
	}
	p, rest, err := cluster.Decode(r.Rest())
	if err != nil {
		return nil, err
	}
	c, ok := p.Command.(*cluster.RegisterBroker)
	if !ok || len(rest) > 0 {
		return nil, fmt.Errorf("%w: not a registration", cluster.ErrMalformed)
	}
	return c, nil
}

// joinAnswer lets a node in (codeOK), refuses it, or sends it to the leader.
type joinAnswer struct {
	code   int8
	text   string
	leader string // codeNotLeader: where the leader is, "" unknown
	joined Joined
}

func (a joinAnswer) encode() []byte {
	w := writer()
	w.Int8(a.code)
	w.String(a.text, true)
	w.String(a.leader, true)
	w.String(a.joined.ClusterID, true)
	w.ArrayLen(len(a.joined.Voters), true)
	for _, id := range a.joined.Voters {
		w.Int64(int64(id))
	}
	w.ArrayLen(len(a.joined.Brokers), true)
	for id, addr := range a.joined.Brokers {
		w.Int64(int64(id))
		w.String(addr, true)
	}
	return w.Bytes()
}

func decodeJoinAnswer(b []byte) (joinAnswer, error) {
	r, err := begin(b)
	if err != nil {
		return joinAnswer{}, err
	}
	a := joinAnswer{code: r.Int8(), text: r.String(true), leader: r.String(true)}
	a.joined.ClusterID = r.String(true)
	for range r.ArrayLen(true, 8) {
		a.joined.Voters = append(a.joined.Voters, uint64(r.Int64()))
	}
	a.joined.Brokers = map[uint64]string{}
	for range r.ArrayLen(true, 8+1) {
		id := uint64(r.Int64())
		a.joined.Brokers[id] = r.String(true)
	}
	return a, r.Done()
}

// heartbeat is a broker's sign of life.
type heartbeat struct {
	id    int32
	epoch int64 // of its registration, as far as it knows
}

func (h heartbeat) encode() []byte {
	w := writer()
	w.Int32(h.id)
	w.Int64(h.epoch)
	return w.Bytes()
}

func decodeHeartbeat(b []byte) (heartbeat, error) {
	r, err := begin(b)
	if err != nil {
		return heartbeat{}, err
	}
	h := heartbeat{id: r.Int32(), epoch: r.Int64()}
	return h, r.Done()
}

// plain is an answer that is a code and its text.
func plain(code int8, text string) []byte {
	w := writer()
	w.Int8(code)
	w.String(strings.ToValidUTF8(text, "?"), true)
	return w.Bytes()
}

func decodePlain(b []byte) (code int8, text string, err error) {
	r, err := begin(b)
	if err != nil {
		return 0, "", err
	}
	code, text = r.Int8(), r.String(true)
	return code, text, r.Done()
}
