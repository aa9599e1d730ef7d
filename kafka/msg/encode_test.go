package msg_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// A field that the version lacks: Kafka's schema says whether it is dropped or refused.
func TestFieldsTheVersionLacks(t *testing.T) {
	for _, c := range []struct {
		name string
		v    int16
		m    msg.Message
		set  func(m msg.Message)
		want string // the field refused, or "" if it is dropped
	}{
		{"ignorable", 5, new(msg.FetchRequest), func(m msg.Message) { m.(*msg.FetchRequest).RackId = "r1" }, ""},
		{"ignorable tagged", 11, new(msg.FetchRequest), func(m msg.Message) { m.(*msg.FetchRequest).ClusterId = wire.Str("c") }, ""},
		{"not ignorable", 6, new(msg.FetchResponse), func(m msg.Message) { m.(*msg.FetchResponse).SessionId = 1 }, "FetchResponse.SessionId"},
		{"ignorable beside one that is not", 6, new(msg.FetchResponse), func(m msg.Message) { m.(*msg.FetchResponse).ErrorCode = 1 }, ""},
		{"not ignorable, but the default", 6, new(msg.FetchResponse), func(m msg.Message) { m.(*msg.FetchResponse).SessionId = 0 }, ""},
		{"removed later", 15, new(msg.FetchRequest), func(m msg.Message) { m.(*msg.FetchRequest).ReplicaId = 1 }, "FetchRequest.ReplicaId"},
		{"tagged struct", 14, new(msg.FetchRequest), func(m msg.Message) { m.(*msg.FetchRequest).ReplicaState.ReplicaId = 1 }, "FetchRequest.ReplicaState"},
		{"array", 6, new(msg.FetchRequest), func(m msg.Message) {
			m.(*msg.FetchRequest).ForgottenTopicsData = []msg.FetchRequestForgottenTopic{{}}
		}, "FetchRequest.ForgottenTopicsData"},
		{"version too low", -1, new(msg.ProduceRequest), func(msg.Message) {}, "ProduceRequest"},
		{"version too high", 14, new(msg.ProduceRequest), func(msg.Message) {}, "ProduceRequest"},
	} {
		c.m.Default()
		c.set(c.m)
		var w wire.Writer
		c.m.Encode(&w, c.v)
		switch err := w.Err(); {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), "encode "+c.want+":")):
			t.Errorf("%s: got %v, want %s refused", c.name, err, c.want)
		case strings.HasPrefix(c.name, "version") && !errors.Is(err, wire.ErrVersion):
			t.Errorf("%s: got %v, want %v", c.name, err, wire.ErrVersion)
		}
	}
}

// Every default of the protocol survives encode and decode in every version, and a message
// that was decoded before keeps nothing.
func TestDefaultsInEveryVersion(t *testing.T) {
	n := 0
	eachMessage(func(name string, v int16, newMessage func() msg.Message) {
		x, y := newMessage(), newMessage()
		x.Default()
		var w wire.Writer
		x.Encode(&w, v)
		r := wire.NewReader(w.Bytes())
		y.Decode(&r, v)
		if err := errors.Join(w.Err(), r.Done()); err != nil || !reflect.DeepEqual(x, y) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, y, x)
		}
		n++
	})
	t.Logf("%d messages and versions", n)
}

func TestSchemaDefaults(t *testing.T) {
	var f msg.FetchRequest
	f.Default()
	var p msg.FetchPartition
	p.Default()
	if f.ReplicaId != -1 || f.MaxBytes != math.MaxInt32 || f.SessionEpoch != -1 || f.ClusterId.Valid || f.ReplicaState.ReplicaId != -1 {
		t.Errorf("%+v", f)
	}
	if p.HighWatermark != math.MaxInt64 || p.CurrentLeaderEpoch != -1 {
		t.Errorf("%+v", p)
	}
	var m msg.MetadataRequest
	m.Default()
	if !m.AllowAutoTopicCreation || m.Topics == nil {
		t.Errorf("%+v", m)
	}
	var d msg.FetchResponsePartitionData
	d.Default()
	if d.Records != nil || d.PreferredReadReplica != -1 {
		t.Errorf("%+v", d)
	}
}

func TestLookup(t *testing.T) {
	last := int16(-1)
	for i := range msg.APIs {
		a := &msg.APIs[i]
		if a.Key <= last {
			t.Errorf("key %d stands behind %d", a.Key, last)
		}
		last = a.Key
		if got := msg.Lookup(a.Key); got != a {
			t.Errorf("Lookup(%d) is %v", a.Key, got)
		}
		if a.NewRequest().APIKey() != a.Key || a.NewResponse().APIKey() != a.Key {
			t.Errorf("messages of %s have another key", a.Name)
		}
	}
	for _, key := range []int16{-1, 95, 127, 128, math.MaxInt16, math.MinInt16} {
		if a := msg.Lookup(key); a != nil {
			t.Errorf("Lookup(%d) is %s", key, a.Name)
		}
	}
	if a := msg.Lookup(msg.KeySaslHandshake); a.Flexible(1) || a.FlexibleFrom != msg.NeverFlexible {
		t.Error("SaslHandshake is flexible")
	}
}

// ControlledShutdown 0 has header version 0.
func TestHeaderWithoutClientID(t *testing.T) {
	want := []byte{0, 7, 0, 0, 0, 0, 0, 5}
	h, got := msg.RequestHeader{ApiKey: 7, CorrelationId: 5}, msg.RequestHeader{ClientId: wire.Str("old")}
	var w wire.Writer
	h.Encode(&w)
	r := wire.NewReader(want)
	got.Decode(&r)
	if !bytes.Equal(w.Bytes(), want) || got != h || r.Done() != nil {
		t.Errorf("encoded as %x, decoded as %+v, %v", w.Bytes(), got, r.Err())
	}
}

// The header of an ApiVersions request of a version to come can be read up to ClientId
// (handshake rule 2), and so can that of an unknown key.
func TestHeaderOfUnknownVersion(t *testing.T) {
	for _, key := range []int16{msg.KeyApiVersions, 4, 999} {
		var w wire.Writer
		w.Int16(key)
		w.Int16(99)
		w.Int32(5)
		w.NullString(wire.Str("c"), false, true)
		w.Raw([]byte{0xff, 0xff, 0xff})
		r := wire.NewReader(w.Bytes())
		var h msg.RequestHeader
		h.Decode(&r)
		if h != (msg.RequestHeader{ApiKey: key, ApiVersion: 99, CorrelationId: 5, ClientId: wire.Str("c")}) || r.Err() != nil || r.Len() != 3 {
			t.Errorf("key %d: %+v, %v, %d bytes left", key, h, r.Err(), r.Len())
		}
	}
}
