package group

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// checkBytes counts anew what a Shard holds.
func checkBytes(t testing.TB, s *Shard) {
	t.Helper()
	want := 0
	for id, g := range s.groups {
		want += groupBytes + len(id) + g.Weight()
		for _, o := range g.offsets {
			want += o.weight()
		}
	}
	pending := map[*offsetEntry]int{}
	for _, x := range s.open {
		want += openBytes
		for e, p := range x.offsets {
			pending[e]++
			if want += p.weight(); s.groups[p.g.ID()] != p.g || p.at.topic.partitions[p.at.partition] != e {
				t.Fatalf("%s has an offset pending for a place that is gone", p.g.ID())
			}
		}
		if len(x.offsets) == 0 {
			t.Fatal("a transaction without offsets is kept")
		}
	}
	for _, g := range s.groups {
		for _, o := range g.offsets {
			for _, e := range o.partitions {
				if e.txns < pending[e] || s.log.Quiet() && e.txns != pending[e] {
					t.Fatalf("an offset counts %d transactions of %d", e.txns, pending[e])
				}
			}
		}
	}
	if s.Bytes() != int64(want) {
		t.Fatalf("the shard counts %d bytes of %d", s.Bytes(), want)
	}
}

// heavy is a Shard whose partition takes batches of 10,000 bytes, with what it answers.
type heavy struct {
	t    testing.TB
	s    *Shard
	now  time.Time
	full bool
	fx   Effects
	tok  Token
}

func newHeavy(t testing.TB) *heavy {
	h := &heavy{t: t, now: epoch}
	ids := 0
	cfg := DefaultConfig(func() string { ids++; return fmt.Sprintf("%036d", ids) })
	cfg.RecordBytesMax = func() int { return 10_000 }
	cfg.Full = func() bool { return h.full }
	h.s = NewShard(cfg)
	h.s.Loaded(h.now, &h.fx)
	return h
}

// join is a join of a group's first or further member; the answer is false when it is held.
func (h *heavy) join(r JoinRequest) (JoinResponse, bool) {
	r.Group, r.ProtocolType, r.SessionTimeout, r.RebalanceTimeout = "g", "consumer", time.Minute, time.Minute
	h.fx.Reset()
	h.tok++
	h.s.Join(h.now, r, h.tok, &h.fx)
	checkBytes(h.t, h.s)
	for _, reply := range h.fx.Replies {
		if reply.Token == h.tok {
			return reply.Response.(JoinResponse), true
		}
	}
	return JoinResponse{}, false
}

func (h *heavy) commit(r CommitOffsetsRequest) Error {
	h.fx.Reset()
	h.tok++
	r.Group, r.Generation, r.Retention = "offsets", -1, -1
	h.s.CommitOffsets(h.now, r, h.tok, &h.fx)
	for _, a := range h.fx.Appends {
		h.s.Appended(h.now, a.ID, nil, &h.fx)
	}
	checkBytes(h.t, h.s)
	return h.fx.Replies[len(h.fx.Replies)-1].Response.(CommitOffsetsResponse).Topics[0].Partitions[0].Err
}

func offset(partition int32, metadata string) CommitOffsetsRequest {
	return CommitOffsetsRequest{Topics: []TopicToCommit{{
		Name: "t", Partitions: []OffsetToCommit{{Partition: partition, Offset: 5, Metadata: metadata}},
	}}}
}

func protocols(sizes ...int) (out []Protocol) {
	for i, n := range sizes {
		out = append(out, Protocol{Name: fmt.Sprint("p", i), Metadata: make([]byte, n)})
	}
	return out
}

// A member that brings more than could be recorded is refused at the join, and nothing is kept of it.
func TestMembersThatCannotBeRecordedAreRefused(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name string
		r    JoinRequest
		err  Error
	}{
		{"metadata that fits", JoinRequest{Protocols: protocols(9500)}, None},
		{"metadata that does not", JoinRequest{Protocols: protocols(10_000)}, GroupMaxSizeReached},
		{"protocols that do not together", JoinRequest{Protocols: protocols(4000, 4000, 4000)}, GroupMaxSizeReached},
		{"a thousand protocols of nothing", JoinRequest{Protocols: protocols(make([]int, 1000)...)}, GroupMaxSizeReached},
		{"a protocol's name", JoinRequest{Protocols: []Protocol{{Name: long + long}}}, GroupMaxSizeReached},
		{"a client id", JoinRequest{ClientID: long, Protocols: protocols(0)}, GroupMaxSizeReached}, // thrice: the member's, in its id, the leader's
		{"an instance id", JoinRequest{InstanceID: long, Protocols: protocols(0)}, GroupMaxSizeReached},
		{"before the member has an id", JoinRequest{RequireKnownMemberID: true, Protocols: protocols(10_000)}, GroupMaxSizeReached},
	} {
		h := newHeavy(t)
		got, answered := h.join(c.r)
		if answered != (c.err != None) || got.Err != c.err {
			t.Errorf("%s: %v %v, want %v", c.name, answered, got.Err, c.err)
		}
		if c.err != None && (len(h.s.groups) != 0 || h.s.Bytes() != 0) {
			t.Errorf("%s: refused, and %d groups of %d bytes are kept", c.name, len(h.s.groups), h.s.Bytes())
		}
	}
}

// Members join until the record of their generation would be too large; what they have joined with can be recorded.
func TestGroupGrowsToWhatCanBeRecorded(t *testing.T) {
	h := newHeavy(t)
	n := 0
	for ; ; n++ {
		if got, answered := h.join(JoinRequest{ClientID: "c", ClientHost: "/1.2.3.4", Protocols: protocols(900, 1000)}); answered {
			if got.Err != GroupMaxSizeReached || got.MemberID != "" {
				t.Errorf("J12 the member that does not fit: %+v", got)
			}
			break
		}
	}
	if n != 10 {
		t.Errorf("%d members of 900 bytes and more in a record of 10,000", n)
	}
	answers := h.tickUntilJoined(n)
	// One more byte each would be too many, and nobody is refused what it had.
	grown := JoinRequest{MemberID: answers[1].MemberID, Protocols: protocols(1900, 1900)}
	if got, answered := h.join(grown); !answered || got.Err != GroupMaxSizeReached {
		t.Errorf("a member that has grown: %v %+v", answered, got)
	}
	h.fx.Reset()
	for i, a := range answers {
		h.s.Sync(h.now, SyncRequest{Group: "g", Generation: 1, MemberID: a.MemberID}, Token(1000+i), &h.fx)
	}
	if len(h.fx.Appends) != 1 {
		t.Fatalf("%d appends", len(h.fx.Appends))
	}
	size := 0
	for _, r := range h.fx.Appends[0].Records {
		size += len(r.Key) + len(r.Value)
	}
	if size > 10_000-100 || size < 8000 {
		t.Errorf("the record has %d bytes", size)
	}
}

// tickUntilJoined ends the join phase and returns its n answers.
func (h *heavy) tickUntilJoined(n int) (out []JoinResponse) {
	h.t.Helper()
	h.fx.Reset()
	for range 100 {
		at, ok := h.s.Deadline()
		if !ok || len(h.fx.Replies) > 0 {
			break
		}
		h.now = at
		h.s.Tick(h.now, &h.fx)
	}
	for _, r := range h.fx.Replies {
		if j, ok := r.Response.(JoinResponse); ok && j.Err == None {
			out = append(out, j)
		}
	}
	if len(out) != n {
		h.t.Fatalf("%d of %d joined", len(out), n)
	}
	return out
}

// When memory is short those that are there go on, and no more are taken; what is given back is counted.
func TestNoMoreIsTakenWhenMemoryIsShort(t *testing.T) {
	h := newHeavy(t)
	if err := h.commit(offset(0, "note")); err != None {
		t.Fatal(err)
	}
	pending, _ := h.join(JoinRequest{RequireKnownMemberID: true, Protocols: protocols(10)})
	h.join(JoinRequest{InstanceID: "i", Protocols: protocols(10)})
	h.full = true
	for _, c := range []struct {
		name string
		r    JoinRequest
		err  Error
	}{
		{"a newcomer", JoinRequest{Protocols: protocols(1)}, CoordinatorNotAvailable},
		{"one that asks for an id", JoinRequest{RequireKnownMemberID: true, Protocols: protocols(1)}, CoordinatorNotAvailable},
		{"one that was given an id", JoinRequest{MemberID: pending.MemberID, Protocols: protocols(1)}, CoordinatorNotAvailable},
		{"a member that grows", JoinRequest{InstanceID: "i", Protocols: protocols(11)}, CoordinatorNotAvailable},
		{"a member as it was", JoinRequest{InstanceID: "i", Protocols: protocols(10)}, None},
	} {
		if got, _ := h.join(c.r); got.Err != c.err {
			t.Errorf("%s: %v, want %v", c.name, got.Err, c.err)
		}
	}
	if err := h.commit(offset(0, "not")); err != None {
		t.Errorf("an offset that is there: %v", err)
	}
	for name, r := range map[string]CommitOffsetsRequest{"a further offset": offset(1, ""), "longer metadata": offset(0, "notes")} {
		if err := h.commit(r); err != CoordinatorNotAvailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.fx.Reset()
	h.s.Delete(h.now, "offsets", 999, &h.fx)
	h.s.Appended(h.now, h.fx.Appends[0].ID, nil, &h.fx)
	h.s.Leave(h.now, LeaveRequest{Group: "g", Members: []MemberIdentity{{MemberID: pending.MemberID}, {InstanceID: "i"}}}, 1000, &h.fx)
	checkBytes(t, h.s)
	h.s.Resign(h.now, &h.fx)
	if h.s.Bytes() != 0 {
		t.Errorf("%d bytes after the end", h.s.Bytes())
	}
}

// Offsets that are asked for again and again are not answered without end.
func TestFetchOfTheSameOffsetsIsBounded(t *testing.T) {
	h := newHeavy(t)
	h.commit(offset(0, strings.Repeat("m", 4000)))
	ask := FetchOffsetsRequest{Group: "offsets", Topics: []TopicPartitions{{Name: "t", Partitions: []int32{0}}}}
	if r := h.s.FetchOffsets(ask); r.Err != None || len(r.Topics[0].Partitions[0].Metadata) != 4000 {
		t.Errorf("once: %v", r.Err)
	}
	for range 1000 {
		ask.Topics = append(ask.Topics, ask.Topics[0])
	}
	if r := h.s.FetchOffsets(ask); r.Err != InvalidRequest || r.Topics != nil {
		t.Errorf("a thousand times: %v", r.Err)
	}
}

// Groups that are made up and left alone are gone when the ids that were handed out have expired.
func TestMadeUpGroupsVanish(t *testing.T) {
	h := newHeavy(t)
	for i := range 1000 {
		h.s.Join(h.now, JoinRequest{
			Group: fmt.Sprint("g", i), ProtocolType: "consumer", Protocols: protocols(1), SessionTimeout: 30 * time.Minute,
			RequireKnownMemberID: true,
		}, Token(i), &h.fx)
	}
	if checkBytes(t, h.s); len(h.s.groups) != 1000 {
		t.Fatalf("%d groups", len(h.s.groups))
	}
	h.s.Tick(h.now.Add(30*time.Minute), &h.fx)
	if len(h.s.groups) != 0 || h.s.Bytes() != 0 {
		t.Errorf("%d groups of %d bytes are left", len(h.s.groups), h.s.Bytes())
	}
}

// BenchmarkGroupMemory reports what made-up state takes, and the part of it that is counted.
func BenchmarkGroupMemory(b *testing.B) {
	const many = 20_000
	join := func(h *heavy, group string, ask bool) {
		h.tok++
		h.s.Join(h.now, JoinRequest{
			Group: group, ProtocolType: "consumer", Protocols: protocols(10, 10), SessionTimeout: time.Minute, RequireKnownMemberID: ask,
		}, h.tok, &h.fx)
	}
	commit := func(h *heavy, group, topic string, partition int32) {
		h.tok++
		r := offset(partition, "metadata")
		r.Group, r.Generation, r.Retention, r.Topics[0].Name = group, -1, -1, topic
		h.s.CommitOffsets(h.now, r, h.tok, &h.fx)
		for _, a := range h.fx.Appends {
			h.s.Appended(h.now, a.ID, nil, &h.fx)
		}
	}
	for name, add := range map[string]func(h *heavy, i int){
		"groups":  func(h *heavy, i int) { join(h, fmt.Sprint("group", i), true) },
		"pending": func(h *heavy, i int) { join(h, "g", true) },
		"members": func(h *heavy, i int) { join(h, "g", false) },
		"simple":  func(h *heavy, i int) { commit(h, fmt.Sprint("group", i), "topic", 1) },
		"topics":  func(h *heavy, i int) { commit(h, "group", fmt.Sprint("topic", i), 1) },
		"offsets": func(h *heavy, i int) { commit(h, "group", "topic", int32(i)) },
	} {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				h := newHeavy(b)
				h.s.cfg.RecordBytesMax = func() int { return 1 << 30 }
				h.s.env.RecordBytesMax = h.s.cfg.RecordBytesMax
				for i := range many {
					add(h, i)
					h.fx.Reset()
				}
				h.fx = Effects{}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(h.s.Bytes())/many, "counted-B/each")
				runtime.KeepAlive(h)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/each")
		})
	}
}
