package group

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"chronik/broker/group/record"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLoadCounts: keys of other types are skipped, what does not decode is reported and counted, and neither keeps
// the rest from being loaded.
func TestLoadCounts(t *testing.T) {
	s := NewShard(DefaultConfig(nil))
	good := record.Offset{Offset: 42, LeaderEpoch: 9, Metadata: "meta", CommitMs: 1, ExpireMs: -1}
	for _, c := range []struct {
		what       string
		key, value []byte
		bad        bool
	}{
		{"an offset", record.OffsetKey("g", "t", 0), good.Encode(), false},
		{"an offset under the legacy key", unhex(t, "0000 0001 67 0001 74 00000001"), good.Encode(), false},
		{"a KIP-848 group", unhex(t, "0003 0001 67"), []byte{0, 0, 0, 0, 0, 1}, false},
		{"a record of the future", unhex(t, "0063 ff"), nil, false},
		{"no key", nil, nil, true},
		{"half a key", unhex(t, "0001 0001"), good.Encode(), true},
		{"half a value", record.OffsetKey("g", "t", 0), good.Encode()[:9], true},
		{"a value of the future", record.OffsetKey("g", "t", 0), unhex(t, "0009 00"), true},
		{"half a group", record.GroupKey("g"), unhex(t, "0003 0008 63"), true},
		{"the tombstone of an offset nobody knows", record.OffsetKey("x", "t", 0), nil, false},
		{"the tombstone of a group nobody knows", record.GroupKey("x"), nil, false},
	} {
		if err := s.Load(c.key, c.value); errors.Is(err, record.ErrMalformed) != c.bad || (err != nil) != c.bad {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if got, want := s.LoadStats(), (LoadStats{Records: 11, Skipped: 2, Malformed: 5}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	s.Loaded(epoch, &Effects{})
	r := s.FetchOffsets(FetchOffsetsRequest{Group: "g", All: true})
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 2 {
		t.Fatalf("loaded %+v", r)
	}
	for i, p := range r.Topics[0].Partitions {
		if want := (CommittedOffset{None, int32(i), 42, 9, "meta"}); p != want {
			t.Errorf("got %+v, want %+v", p, want)
		}
	}
	if groups, _ := s.List(); len(groups) != 1 {
		t.Errorf("groups: %v", groups)
	}
}

// TestRequestsAreCopied: a Shard keeps nothing of the buffers that requests alias.
func TestRequestsAreCopied(t *testing.T) {
	cfg := DefaultConfig(func() string { return "1" })
	cfg.InitialRebalanceDelay = 0
	s := NewShard(cfg)
	fx := &Effects{}
	s.Loaded(epoch, fx)
	buf := []byte("subscription")
	s.Join(epoch, JoinRequest{
		Group: "g", ClientID: "c", SessionTimeout: time.Minute, RebalanceTimeout: time.Minute, ProtocolType: "x",
		Protocols: []Protocol{{Name: "p", Metadata: buf}},
	}, 1, fx)
	gift := []byte("assignment")
	s.Sync(epoch, SyncRequest{Group: "g", Generation: 1, MemberID: "c-1", Assignments: []Assignment{{MemberID: "c-1", Bytes: gift}}}, 2, fx)
	clear(buf)
	clear(gift)
	s.Appended(epoch, fx.Appends[0].ID, nil, fx)
	d := s.Describe("g")
	if m := d.Members[0]; string(m.Metadata) != "subscription" || string(m.Assignment) != "assignment" {
		t.Errorf("kept %q and %q", m.Metadata, m.Assignment)
	}
}

// BenchmarkHeartbeat is a heartbeat in a Shard of 10,000 groups of one member each, and what Tick costs with it.
func BenchmarkHeartbeat(b *testing.B) {
	s, members := manyGroups(10_000)
	now, fx := epoch, &Effects{}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		now = now.Add(time.Microsecond)
		if err := s.Heartbeat(now, HeartbeatRequest{Group: members[i].group, Generation: 1, MemberID: members[i].id}); err != None {
			b.Fatal(err)
		}
		s.Tick(now, fx)
		i = (i + 1) % len(members)
	}
}

// BenchmarkCommit is a commit of one partition and its append's outcome, in the same Shard.
func BenchmarkCommit(b *testing.B) {
	s, members := manyGroups(10_000)
	fx := &Effects{}
	topics := []TopicToCommit{{Name: "t", Partitions: []OffsetToCommit{{Offset: 1}}}}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m := members[i]
		s.CommitOffsets(epoch, CommitOffsetsRequest{Group: m.group, Generation: 1, MemberID: m.id, Retention: -1, Topics: topics}, 1, fx)
		s.Appended(epoch, fx.Appends[0].ID, nil, fx)
		fx.Reset()
		i = (i + 1) % len(members)
	}
}

type memberOfGroup struct{ group, id string }

func manyGroups(n int) (*Shard, []memberOfGroup) {
	cfg := DefaultConfig(func() string { return "1" })
	cfg.InitialRebalanceDelay = 0
	s, fx := NewShard(cfg), &Effects{}
	s.Loaded(epoch, fx)
	var out []memberOfGroup
	for i := range n {
		g := "group-" + string(rune('a'+i%26)) + strings.Repeat("x", i/26%20) + time.Duration(i).String()
		s.Join(epoch, JoinRequest{
			Group: g, ClientID: "c", SessionTimeout: 30 * time.Minute, RebalanceTimeout: time.Hour, ProtocolType: "consumer",
			Protocols: []Protocol{{Name: "range", Metadata: metadataOf("@t")}},
		}, 1, fx)
		fx.Reset()
		s.Sync(epoch, SyncRequest{Group: g, Generation: 1, MemberID: "c-1"}, 1, fx)
		s.Appended(epoch, fx.Appends[0].ID, nil, fx)
		fx.Reset()
		out = append(out, memberOfGroup{g, "c-1"})
	}
	return s, out
}
