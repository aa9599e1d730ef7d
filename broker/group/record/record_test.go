package record

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"

	"chronik/kafka/wire"
)

// vector is a line of testdata/coordinator-records.jsonl: bytes that Kafka's own schemas make of the fields.
type vector struct {
	Kind, Name string
	Version    int16
	Hex        string
	Fields     struct {
		Group, Topic, Metadata, ProtocolType, Protocol, Leader string
		Partition, LeaderEpoch, Generation                     int32
		Offset, CommitTimestamp, CurrentStateTimestamp         int64
		ExpireTimestamp                                        *int64
		Members                                                []struct {
			MemberID, GroupInstanceID, ClientID, ClientHost, Subscription, Assignment string
			RebalanceTimeout, SessionTimeout                                          int32
		}
	}
}

func vectors(t *testing.T) []vector {
	f, err := os.Open("testdata/coordinator-records.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []vector
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var v vector
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func (v *vector) offset() Offset {
	f := v.Fields
	o := Offset{Offset: f.Offset, LeaderEpoch: -1, Metadata: f.Metadata, CommitMs: f.CommitTimestamp, ExpireMs: -1}
	if v.Version >= 3 {
		o.LeaderEpoch = f.LeaderEpoch
	}
	if f.ExpireTimestamp != nil {
		o.ExpireMs = *f.ExpireTimestamp
	}
	return o
}

func (v *vector) group(t *testing.T) Group {
	f := v.Fields
	g := Group{
		ProtocolType: f.ProtocolType, Generation: f.Generation, Protocol: f.Protocol, Leader: f.Leader,
		StateMs: -1,
	}
	if v.Version >= 2 {
		g.StateMs = f.CurrentStateTimestamp
	}
	for _, m := range f.Members {
		sub, err1 := hex.DecodeString(m.Subscription)
		as, err2 := hex.DecodeString(m.Assignment)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		mem := Member{
			MemberID: m.MemberID, ClientID: m.ClientID, ClientHost: m.ClientHost, RebalanceTimeoutMs: m.RebalanceTimeout,
			SessionTimeoutMs: m.SessionTimeout, Subscription: sub, Assignment: as,
		}
		if m.GroupInstanceID != "" {
			mem.InstanceID = m.GroupInstanceID
		}
		if v.Version == 0 {
			mem.RebalanceTimeoutMs = m.SessionTimeout
		}
		g.Members = append(g.Members, mem)
	}
	return g
}

// TestGolden decodes the vectors of all versions to their fields and encodes the fields to the same bytes.
func TestGolden(t *testing.T) {
	seen := map[string]int{}
	for _, v := range vectors(t) {
		b, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		var again []byte
		switch v.Name {
		case "OffsetCommitKey":
			got, err = DecodeKey(b)
			want = Key{KindOffset, v.Fields.Group, v.Fields.Topic, v.Fields.Partition}
			again = OffsetKey(v.Fields.Group, v.Fields.Topic, v.Fields.Partition)
			again[1] = byte(v.Version)
		case "GroupMetadataKey":
			got, err = DecodeKey(b)
			want, again = Key{Kind: KindGroup, Group: v.Fields.Group}, GroupKey(v.Fields.Group)
		case "OffsetCommitValue":
			o := v.offset()
			got, err = DecodeOffset(b)
			want, again = o, o.encode(v.Version)
		case "GroupMetadataValue":
			g := v.group(t)
			got, err = DecodeGroup(b)
			want, again = g, g.encode(v.Version)
		default:
			continue
		}
		seen[v.Name]++
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s v%d: got %+v, %v\nwant %+v", v.Name, v.Version, got, err, want)
		}
		if hex.EncodeToString(again) != v.Hex {
			t.Errorf("%s v%d: encodes as %x\nwant %s", v.Name, v.Version, again, v.Hex)
		}
	}
	if want := map[string]int{"OffsetCommitKey": 2, "GroupMetadataKey": 1, "OffsetCommitValue": 5, "GroupMetadataValue": 5}; !reflect.DeepEqual(seen, want) {
		t.Errorf("vectors: %v, want %v", seen, want)
	}
}

// TestWrittenVersions holds which version carries what.
func TestWrittenVersions(t *testing.T) {
	for _, c := range []struct {
		o       Offset
		version byte
	}{
		{Offset{Offset: 1, LeaderEpoch: 2, Metadata: "m", CommitMs: 3, ExpireMs: -1}, 3},
		{Offset{Offset: 1, LeaderEpoch: -1, Metadata: "m", CommitMs: 3, ExpireMs: 4}, 1},
		{Offset{Offset: 1, LeaderEpoch: 2, Metadata: "m", CommitMs: 3, ExpireMs: -1, TopicID: wire.UUID{1, 2}}, 4},
	} {
		b := c.o.Encode()
		got, err := DecodeOffset(b)
		if b[1] != c.version || err != nil || got != c.o {
			t.Errorf("%+v: version %d, decodes as %+v, %v", c.o, b[1], got, err)
		}
	}
	if g := (Group{}); g.Encode()[1] != 3 {
		t.Errorf("group: version %d", g.Encode()[1])
	}
}

// TestUnknownTag reads past a tagged field that a later release may add.
func TestUnknownTag(t *testing.T) {
	o := Offset{Offset: 1, LeaderEpoch: 2, CommitMs: 3, ExpireMs: -1}
	b := o.encode(4)
	b = append(b[:len(b)-1], 1, 9, 2, 0xaa, 0xbb) // one tag, number 9, two bytes
	if got, err := DecodeOffset(b); err != nil || got != o {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestOtherKeys are skipped, not errors.
func TestOtherKeys(t *testing.T) {
	for _, kind := range []byte{3, 8, 17, 200} {
		if k, err := DecodeKey([]byte{0, kind, 1, 2, 3}); err != nil || k != (Key{}) {
			t.Errorf("type %d: %+v, %v", kind, k, err)
		}
	}
}

// TestMalformed: every prefix of a good record is an error that says so, as are the contradictions below.
func TestMalformed(t *testing.T) {
	m := Member{MemberID: "a", InstanceID: "i"}
	groups := map[string]Group{
		"no id":           {ProtocolType: "consumer", Protocol: "range", Members: []Member{{}}},
		"id twice":        {ProtocolType: "consumer", Protocol: "range", Members: []Member{m, m}},
		"instance twice":  {ProtocolType: "consumer", Protocol: "range", Members: []Member{m, {MemberID: "b", InstanceID: m.InstanceID}}},
		"no protocol":     {ProtocolType: "consumer", Members: []Member{m}},
		"no protocolType": {Protocol: "range", Members: []Member{m}},
	}
	for name, g := range groups {
		if _, err := DecodeGroup(g.Encode()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, v := range vectors(t) {
		b, _ := hex.DecodeString(v.Hex)
		for n := range b {
			var err error
			switch v.Name {
			case "OffsetCommitKey", "GroupMetadataKey":
				_, err = DecodeKey(b[:n])
			case "OffsetCommitValue":
				_, err = DecodeOffset(b[:n])
			case "GroupMetadataValue":
				_, err = DecodeGroup(b[:n])
			default:
				continue
			}
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s v%d cut to %d bytes: %v", v.Name, v.Version, n, err)
			}
		}
	}
	for _, b := range [][]byte{{0, 5, 0}, {0xff, 0xff}, {0x7f, 0xff}} {
		_, err1 := DecodeOffset(b)
		_, err2 := DecodeGroup(b)
		if !errors.Is(err1, ErrMalformed) || !errors.Is(err2, ErrMalformed) {
			t.Errorf("%x: %v, %v", b, err1, err2)
		}
	}
}

// TestGarbage: bytes changed at random never panic, and a count never makes a decoder allocate for what is not there.
func TestGarbage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, v := range vectors(t) {
		good, _ := hex.DecodeString(v.Hex)
		for range 2000 {
			b := append([]byte{}, good...)
			for range 1 + rng.IntN(4) {
				b[rng.IntN(len(b))] = byte(rng.Uint32())
			}
			_, _ = DecodeKey(b)
			_, _ = DecodeOffset(b)
			g, _ := DecodeGroup(b)
			if len(g.Members) > len(b) {
				t.Fatalf("%d members of %d bytes: %x", len(g.Members), len(b), b)
			}
			topics, _ := Subscription(b)
			if cap(topics) > len(b) {
				t.Fatalf("%d topics of %d bytes: %x", cap(topics), len(b), b)
			}
		}
	}
}

func TestSubscription(t *testing.T) {
	b := []byte{0, 3, 0, 0, 0, 2, 0, 1, 'a', 0, 2, 'b', 'c', 0xff, 0xff, 0xff, 0xff}
	if got, err := Subscription(b); err != nil || !reflect.DeepEqual(got, []string{"a", "bc"}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range [][]byte{nil, {0}, {0xff, 0xff, 0, 0, 0, 0}, b[:9], {0, 0, 0x7f, 0xff, 0xff, 0xff}} {
		if got, err := Subscription(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %v, %v", bad, got, err)
		}
	}
}
