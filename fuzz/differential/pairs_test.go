package differential

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"

	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// oracle is what every message of franz-go's kmsg does.
type oracle interface {
	AppendTo([]byte) []byte
	ReadFrom([]byte) error
}

// pair is one message that both codecs know, and the versions that both have.
type pair struct {
	name     string
	key      int16 // of the API; below 0 for messages inside of others
	response bool
	min, max int16
	ours     func() msg.Message
	theirs   func() oracle
	number   int16 // of a record type: what stands in front of its key instead of a version
	prefixed bool  // the version stands in front, and kmsg writes and reads it
	telling  bool  // the version is the first field of ours, Version
}

// pairs lists every message that both codecs know.
func pairs() (all []pair) {
	for _, a := range msg.APIs {
		req, resp := kmsg.RequestForKey(a.Key), kmsg.ResponseForKey(a.Key)
		if req == nil || resp == nil {
			continue
		}
		all = append(all, pair{name: a.Name + "Request", key: a.Key, min: a.Min, max: min(a.Max, req.MaxVersion()),
			ours: func() msg.Message { return a.NewRequest() }, theirs: func() oracle { return kmsg.RequestForKey(a.Key) }})
		all = append(all, pair{name: a.Name + "Response", key: a.Key, response: true, min: a.Min, max: min(a.Max, resp.MaxVersion()),
			ours: func() msg.Message { return a.NewResponse() }, theirs: func() oracle { return kmsg.ResponseForKey(a.Key) }})
	}
	for i, p := range embedded {
		p.key = int16(-1 - i)
		all = append(all, p)
	}
	return all
}

// embedded are the messages without an API key: they stand inside of requests
// and in records.
var embedded = []pair{
	inside("ConsumerProtocolSubscription", 0, 3, new(msg.ConsumerProtocolSubscription), new(kmsg.ConsumerMemberMetadata)),
	inside("ConsumerProtocolAssignment", 0, 3, new(msg.ConsumerProtocolAssignment), new(kmsg.ConsumerMemberAssignment)),
	// The version of a key is the number of the record type.
	numbered("LegacyOffsetCommitKey", 0, new(msg.LegacyOffsetCommitKey), new(kmsg.OffsetCommitKey)),
	numbered("OffsetCommitKey", 1, new(msg.OffsetCommitKey), new(kmsg.OffsetCommitKey)),
	inside("OffsetCommitValue", 0, 4, new(msg.OffsetCommitValue), new(kmsg.OffsetCommitValue)),
	numbered("GroupMetadataKey", 2, new(msg.GroupMetadataKey), new(kmsg.GroupMetadataKey)),
	inside("GroupMetadataValue", 0, 4, new(msg.GroupMetadataValue), new(kmsg.GroupMetadataValue)),
	numbered("TransactionLogKey", 0, new(msg.TransactionLogKey), new(kmsg.TxnMetadataKey)),
	inside("TransactionLogValue", 0, 1, new(msg.TransactionLogValue), new(kmsg.TxnMetadataValue)),
	inside("DefaultPrincipalData", 0, 0, new(msg.DefaultPrincipalData), new(kmsg.DefaultPrincipalData)),
	inside("ControlRecordTypeSchema", 0, 0, new(msg.ControlRecordTypeSchema), new(kmsg.ControlRecordKey)),
	inside("EndTxnMarker", 0, 0, new(msg.EndTxnMarker), new(kmsg.EndTxnMarker)),
	telling("LeaderChangeMessage", 0, 1, new(msg.LeaderChangeMessage), new(kmsg.LeaderChangeMessage)),
}

// inside is the pair of two types, each given by a pointer.
func inside(name string, low, high int16, ours msg.Message, theirs oracle) pair {
	return pair{name: name, min: low, max: high, prefixed: true,
		ours:   func() msg.Message { return reflect.New(reflect.TypeOf(ours).Elem()).Interface().(msg.Message) },
		theirs: func() oracle { return reflect.New(reflect.TypeOf(theirs).Elem()).Interface().(oracle) }}
}

// numbered is inside for the key of a record type.
func numbered(name string, number int16, ours msg.Message, theirs oracle) pair {
	p := inside(name, 0, 0, ours, theirs)
	p.number = number
	return p
}

// telling is inside for a message whose first field is its version.
func telling(name string, low, high int16, ours msg.Message, theirs oracle) pair {
	p := inside(name, low, high, ours, theirs)
	p.prefixed, p.telling = false, true
	return p
}

// find is the pair with that key, or nil.
func find(all []pair, key int16, response bool) *pair {
	for i := range all {
		if all[i].key == key && all[i].response == response {
			return &all[i]
		}
	}
	return nil
}

// encodeOurs encodes and drops fields that the version cannot carry, until it can.
func (p *pair) encodeOurs(m msg.Message, v int16) ([]byte, error) {
	for range 1000 {
		var w wire.Writer
		if p.prefixed {
			w.Int16(p.prefix(v))
		}
		m.Encode(&w, v)
		if w.Err() == nil {
			return bytes.Clone(w.Bytes()), nil
		}
		name, ok := strings.CutPrefix(w.Err().Error(), "wire: cannot encode ")
		if name, _, _ = strings.Cut(name, ":"); !ok || !strings.HasSuffix(w.Err().Error(), wire.ErrNotInThis.Error()) {
			return nil, w.Err()
		}
		if !unset(reflect.ValueOf(m).Elem(), name) {
			return nil, fmt.Errorf("%w: no field to leave out", w.Err())
		}
	}
	return nil, fmt.Errorf("%s v%d cannot be encoded", p.name, v)
}

// decodeOurs decodes b, which must be used up, into a new message.
func (p *pair) decodeOurs(b []byte, v int16) (msg.Message, error) {
	r := wire.NewReader(b)
	if p.prefixed {
		if got := r.Int16(); got != p.prefix(v) && r.Err() == nil {
			return nil, fmt.Errorf("version %d in front, want %d", got, p.prefix(v))
		}
	}
	m := p.ours()
	m.Decode(&r, v)
	return m, r.Done()
}

// newTheirs is a message of kmsg's in version v, with its defaults.
func (p *pair) newTheirs(v int16) oracle {
	m := p.theirs()
	reflect.ValueOf(m).MethodByName("Default").Call(nil)
	reflect.ValueOf(m).Elem().FieldByName("Version").SetInt(int64(p.prefix(v)))
	return m
}

// decodeTheirs decodes b with kmsg.
func (p *pair) decodeTheirs(b []byte, v int16) (oracle, error) {
	m := p.newTheirs(v)
	err := m.ReadFrom(b)
	return m, err
}

// prefix is what stands in front of version v, and is Version in kmsg's messages.
func (p *pair) prefix(v int16) int16 { return v + p.number }

// versionPrefix is prefix in bytes.
func (p *pair) versionPrefix(v int16) []byte {
	return binary.BigEndian.AppendUint16(nil, uint16(p.prefix(v)))
}
