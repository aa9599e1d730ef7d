package calls

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
	MethodPropose   uint8 = 1
	MethodJoin      uint8 = 2
	MethodHeartbeat uint8 = 3
)

// What an answer says, beside the codes of errors (sentinels), which begin at
// codeErrors. Never reuse one.
const (
	OK         int8 = 0
	NotLeader  int8 = 1 // nothing was done
	Seen       int8 = 2 // this leader has it from an earlier call
	Unknown    int8 = 3 // it may have been done, or still be
	Storage    int8 = 4 // so may this, but there is no point in trying again
	codeErrors int8 = 16
)

// sentinels are the errors of commands, at their code less codeErrors. Append
// only.
var sentinels = []error{
	cluster.ErrTopicExists, cluster.ErrTopicCollides, cluster.ErrUnknownTopic, cluster.ErrPartitions, cluster.ErrClusterID,
	cluster.ErrTopicID, cluster.ErrProducerIDs, cluster.ErrBrokerIDTaken, cluster.ErrBrokerID, cluster.ErrBrokerEpoch,
	cluster.ErrStaleImage, cluster.ErrInvalidTopicName, cluster.ErrReplicationFactor, cluster.ErrPartitionCount,
	cluster.ErrTooManyPartitions, cluster.ErrAssignment, cluster.ErrMalformed, cluster.ErrNewerVersion,
	cluster.ErrTooManyBrokers, cluster.ErrTooLarge,
}

// RemoteError is an error of another node's: its text, and the sentinel under
// it.
type RemoteError struct {
	text string
	is   error
}

// Error returns its text.
func (e *RemoteError) Error() string { return e.text }

// Unwrap returns the sentinel.
func (e *RemoteError) Unwrap() error { return e.is }

// CodeOf is an error's code and text. An error that has no code is unknown.
func CodeOf(err error) (int8, string) {
	switch {
	case err == nil:
		return OK, ""
	case errors.Is(err, ErrStorage):
		return Storage, err.Error()
	}
	for i, s := range sentinels {
		if errors.Is(err, s) {
			return codeErrors + int8(i), err.Error()
		}
	}
	return Unknown, err.Error()
}

// ErrorOf is the error of a code with its text; nil for OK.
func ErrorOf(code int8, text string) error {
	switch i := int(code) - int(codeErrors); {
	case code == OK:
		return nil
	case code == NotLeader:
		return &RemoteError{text, ErrNotLeader}
	case code == Storage:
		return &RemoteError{text, ErrStorage}
	case i >= 0 && i < len(sentinels):
		return &RemoteError{text, sentinels[i]}
	}
	if code == Unknown {
		return errors.New(text)
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

// CommandBytesMax bounds a command that is proposed: the call that brings it to
// the leader has a bound (transport.BodyBytesMax), and the leader's own are not to
// be larger than those of others.
const CommandBytesMax = 1<<20 - 64

// ProposeRequest asks the leader of a term to propose a command.
type ProposeRequest struct {
	Term    segment.Term
	Command []byte // cluster.Proposed
}

// Encode is the call as bytes.
func (q ProposeRequest) Encode() []byte {
	w := writer()
	w.Int64(int64(q.Term))
	return append(slices.Clone(w.Bytes()), q.Command...)
}

// DecodeProposeRequest reads the call, and the command in it.
func DecodeProposeRequest(b []byte) (q ProposeRequest, p cluster.Proposed, err error) {
	r, err := begin(b)
	if err != nil {
		return q, p, err
	}
	q.Term = segment.Term(r.Int64())
	if r.Err() != nil {
		return q, p, r.Err()
	}
	q.Command = r.Rest()
	p, rest, err := cluster.Decode(q.Command)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: bytes behind it", cluster.ErrMalformed)
	}
	return q, p, err
}

// ProposeAnswer is what came of it.
type ProposeAnswer struct {
	Code    int8
	Text    string
	Version uint64 // of the metadata that includes it
	First   int64  // cluster.Result.First
}

// Refused reports whether the command was not even proposed, and never will be.
func (a ProposeAnswer) Refused() bool { return a.Version == 0 && a.Code >= codeErrors }

// Err is the error of the command.
func (a ProposeAnswer) Err() error { return ErrorOf(a.Code, a.Text) }

// Encode is the answer as bytes.
func (a ProposeAnswer) Encode() []byte {
	w := writer()
	w.Int8(a.Code)
	w.String(a.Text, true)
	w.Int64(int64(a.Version))
	w.Int64(a.First)
	return w.Bytes()
}

// DecodeProposeAnswer reads the answer.
func DecodeProposeAnswer(b []byte) (ProposeAnswer, error) {
	r, err := begin(b)
	if err != nil {
		return ProposeAnswer{}, err
	}
	a := ProposeAnswer{Code: r.Int8(), Text: r.String(true), Version: uint64(r.Int64()), First: r.Int64()}
	return a, r.Done()
}

// JoinRequest asks to be let in.
type JoinRequest struct{ Self cluster.Broker }

// Encode is the call as bytes.
func (q JoinRequest) Encode() []byte {
	w := writer()
	return append(slices.Clone(w.Bytes()), cluster.Proposed{Node: q.Self.ID, Command: cluster.Register(q.Self)}.Append(nil)...)
}

// DecodeJoinRequest reads the call: a registration.
func DecodeJoinRequest(b []byte) (*cluster.RegisterBroker, error) {
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

// JoinAnswer lets a node in (OK), refuses it, or sends it to the leader.
type JoinAnswer struct {
	Code   int8
	Text   string
	Leader string // NotLeader: where the leader is, "" unknown
	Joined Joined
}

// Encode is the answer as bytes.
func (a JoinAnswer) Encode() []byte {
	w := writer()
	w.Int8(a.Code)
	w.String(a.Text, true)
	w.String(a.Leader, true)
	w.String(a.Joined.ClusterID, true)
	w.ArrayLen(len(a.Joined.Voters), true)
	for _, id := range a.Joined.Voters {
		w.Int64(int64(id))
	}
	w.ArrayLen(len(a.Joined.Brokers), true)
	for id, addr := range a.Joined.Brokers {
		w.Int64(int64(id))
		w.String(addr, true)
	}
	return w.Bytes()
}

// DecodeJoinAnswer reads the answer.
func DecodeJoinAnswer(b []byte) (JoinAnswer, error) {
	r, err := begin(b)
	if err != nil {
		return JoinAnswer{}, err
	}
	a := JoinAnswer{Code: r.Int8(), Text: r.String(true), Leader: r.String(true)}
	a.Joined.ClusterID = r.String(true)
	for range r.ArrayLen(true, 8) {
		a.Joined.Voters = append(a.Joined.Voters, uint64(r.Int64()))
	}
	a.Joined.Brokers = map[uint64]string{}
	for range r.ArrayLen(true, 8+1) {
		id := uint64(r.Int64())
		a.Joined.Brokers[id] = r.String(true)
	}
	return a, r.Done()
}

// Heartbeat is a broker's sign of life.
type Heartbeat struct {
	ID    int32
	Epoch int64 // of its registration, as far as it knows
}

// Encode is the call as bytes.
func (h Heartbeat) Encode() []byte {
	w := writer()
	w.Int32(h.ID)
	w.Int64(h.Epoch)
	return w.Bytes()
}

// DecodeHeartbeat reads the call.
func DecodeHeartbeat(b []byte) (Heartbeat, error) {
	r, err := begin(b)
	if err != nil {
		return Heartbeat{}, err
	}
	h := Heartbeat{ID: r.Int32(), Epoch: r.Int64()}
	return h, r.Done()
}

// Plain is an answer that is a code and its text.
func Plain(code int8, text string) []byte {
	w := writer()
	w.Int8(code)
	w.String(strings.ToValidUTF8(text, "?"), true)
	return w.Bytes()
}

// DecodePlain reads it.
func DecodePlain(b []byte) (code int8, text string, err error) {
	r, err := begin(b)
	if err != nil {
		return 0, "", err
	}
	code, text = r.Int8(), r.String(true)
	return code, text, r.Done()
}
