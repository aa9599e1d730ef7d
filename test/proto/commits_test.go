package proto

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// TestOffsetCommit is O1 to O4.
func TestOffsetCommit(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 2)
	m := stable(t, b, "o1", nil)
	cn := m.conn
	answer := func(req *kmsg.OffsetCommitRequest) int16 {
		t.Helper()
		return ask[*kmsg.OffsetCommitResponse](cn, req).Topics[0].Partitions[0].ErrorCode
	}
	t.Run("O1 unknown topics and partitions, the rest is committed", func(t *testing.T) {
		ready(t, b, "o1-mixed")
		req := commitRequest(9, "o1-mixed", tp, 0, 11)
		req.Topics = append(req.Topics, commitRequest(9, "o1-mixed", topic{name: "nobody-made-this"}, 0, 1).Topics[0])
		bad := req.Topics[0].Partitions[0]
		bad.Partition = 9
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, bad)
		r := ask[*kmsg.OffsetCommitResponse](cn, req)
		got := map[string]int16{}
		for _, rt := range r.Topics {
			for _, p := range rt.Partitions {
				got[fmt.Sprintf("%s/%d", rt.Topic, p.Partition)] = p.ErrorCode
			}
		}
		code(t, "good", got[tp.name+"/0"], nil)
		code(t, "unknown partition", got[tp.name+"/9"], kerr.UnknownTopicOrPartition)
		code(t, "unknown topic", got["nobody-made-this/0"], kerr.UnknownTopicOrPartition)
		equal(t, "committed", fetchOffset(cn, "o1-mixed", tp, 0), fetchedOffset{0, 11, 0, "note"})
	})
	t.Run("O1 by id", func(t *testing.T) {
		ready(t, b, "o1-id")
		code(t, "known", answer(commitRequest(10, "o1-id", tp, 0, 12)), nil)
		code(t, "unknown", answer(commitRequest(10, "o1-id", topic{id: [16]byte{3}}, 0, 1)), kerr.UnknownTopicID)
		equal(t, "committed", fetchOffset(cn, "o1-id", tp, 0).Offset, 12)
	})
	t.Run("O2 metadata too long", func(t *testing.T) {
		harness.SkipOnPeer(t, "kfake", "it takes any length")
		ready(t, b, "o2")
		req := commitRequest(9, "o2", tp, 0, 1)
		req.Topics[0].Partitions[0].Metadata = ptr(strings.Repeat("m", 4097))
		code(t, "4097", answer(req), kerr.OffsetMetadataTooLarge)
		req.Topics[0].Partitions[0].Metadata = ptr(strings.Repeat("m", 4096))
		code(t, "4096", answer(req), nil)
	})
	t.Run("O3 missing group with a generation", func(t *testing.T) {
		harness.SkipOnPeer(t, "kfake", "it answers ILLEGAL_GENERATION in v9 too")
		ready(t, b, "o3")
		for version, want := range map[int16]*kerr.Error{8: kerr.IllegalGeneration, 9: kerr.GroupIDNotFound} {
			req := commitRequest(version, "o3", tp, 0, 1)
			req.Generation, req.MemberID = 1, "somebody"
			code(t, fmt.Sprintf("v%d", version), answer(req), want)
		}
	})
	t.Run("O4 members", func(t *testing.T) {
		as := func(edit func(*kmsg.OffsetCommitRequest)) int16 {
			t.Helper()
			req := commitRequest(9, "o1", tp, 1, 21)
			req.Generation, req.MemberID = m.gen, m.id
			edit(req)
			return answer(req)
		}
		code(t, "the member", as(func(*kmsg.OffsetCommitRequest) {}), nil)
		code(t, "old generation", as(func(r *kmsg.OffsetCommitRequest) { r.Generation-- }), kerr.IllegalGeneration)
		code(t, "another member", as(func(r *kmsg.OffsetCommitRequest) { r.MemberID = "nobody" }), kerr.UnknownMemberID)
		code(t, "anonymous on a group with members", as(func(r *kmsg.OffsetCommitRequest) { r.Generation, r.MemberID = -1, "" }), kerr.UnknownMemberID)
		code(t, "unknown instance", as(func(r *kmsg.OffsetCommitRequest) { r.InstanceID = ptr("i") }), kerr.UnknownMemberID)
		equal(t, "committed", fetchOffset(cn, "o1", tp, 1).Offset, 21)
	})
	for version := int16(2); version <= 10; version++ {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			group := fmt.Sprintf("commit-v%d", version)
			ready(t, b, group)
			req := commitRequest(version, group, tp, 0, 100+int64(version))
			code(t, "OffsetCommit", answer(req), nil)
			got := fetchOffset(cn, group, tp, 0)
			equal(t, "offset", got.Offset, 100+int64(version))
			equal(t, "metadata", got.Metadata, "note")
			want := int32(-1)
			if version >= 6 {
				want = 0
			}
			equal(t, "O7 leader epoch", got.Epoch, want)
		})
	}
}

// TestOffsetFetch is O10, O11 in every version.
func TestOffsetFetch(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it answers GROUP_ID_NOT_FOUND for an unknown group")
	b := broker(t)
	tp, other := newTopic(t, b, 3), newTopic(t, b, 1)
	cn := dial(t, b)
	commitOffset(cn, "o10", tp, 0, 5)
	commitOffset(cn, "o10", tp, 2, 7)
	commitOffset(cn, "o10", other, 0, 9)
	for version := int16(1); version <= 10; version++ {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			got := fetchOffsets(cn, version, "o10", []topic{tp}, []int32{0, 1, 2})
			equal(t, "O11 listed partitions", fmt.Sprint(got), fmt.Sprint(map[string]int64{key(version, tp, 0): 5, key(version, tp, 1): -1, key(version, tp, 2): 7}))
			if version >= 2 {
				got = fetchOffsets(cn, version, "o10", nil, nil)
				equal(t, "O10 all", fmt.Sprint(got), fmt.Sprint(map[string]int64{key(version, tp, 0): 5, key(version, tp, 2): 7, key(version, other, 0): 9}))
			}
			got = fetchOffsets(cn, version, "nobody-made-this", []topic{tp}, []int32{0})
			equal(t, "O11 unknown group", fmt.Sprint(got), fmt.Sprint(map[string]int64{key(version, tp, 0): -1}))
			if version < 10 {
				got = fetchOffsets(cn, version, "o10", []topic{{name: "nobody-made-this"}}, []int32{0})
				equal(t, "O11 unknown topic", fmt.Sprint(got), fmt.Sprint(map[string]int64{"nobody-made-this/0": -1}))
			}
		})
	}
}

// key names a partition as a version does.
func key(version int16, tp topic, p int32) string {
	if version >= 10 {
		return fmt.Sprintf("%x/%d", tp.id, p)
	}
	return fmt.Sprintf("%s/%d", tp.name, p)
}

// fetchOffsets returns every offset of an answer without errors; nil topics mean all.
func fetchOffsets(c *conn, version int16, group string, topics []topic, parts []int32) map[string]int64 {
	c.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = version
	rg := kmsg.NewOffsetFetchRequestGroup()
	req.Group, rg.Group = group, group
	for _, tp := range topics {
		rt := kmsg.NewOffsetFetchRequestTopic()
		rt.Topic, rt.Partitions = tp.name, parts
		req.Topics = append(req.Topics, rt)
		gt := kmsg.NewOffsetFetchRequestGroupTopic()
		gt.Topic, gt.TopicID, gt.Partitions = tp.name, tp.id, parts
		rg.Topics = append(rg.Topics, gt)
	}
	req.Groups = append(req.Groups, rg)
	r := ask[*kmsg.OffsetFetchResponse](c, req)
	got := map[string]int64{}
	note := func(tp topic, p int32, offset int64, ec int16) {
		code(c.t, "partition", ec, nil)
		got[key(version, tp, p)] = offset
	}
	code(c.t, "OffsetFetch", r.ErrorCode, nil)
	for _, rt := range r.Topics {
		for _, p := range rt.Partitions {
			note(topic{name: rt.Topic}, p.Partition, p.Offset, p.ErrorCode)
		}
	}
	for _, g := range r.Groups {
		code(c.t, "group", g.ErrorCode, nil)
		equal(c.t, "group", g.Group, group)
		for _, rt := range g.Topics {
			for _, p := range rt.Partitions {
				note(topic{rt.Topic, rt.TopicID}, p.Partition, p.Offset, p.ErrorCode)
			}
		}
	}
	return got
}

func deleteGroups(c *conn, groups ...string) map[string]int16 {
	c.t.Helper()
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Version, req.Groups = 2, groups
	out := map[string]int16{}
	for _, g := range ask[*kmsg.DeleteGroupsResponse](c, req).Groups {
		out[g.Group] = g.ErrorCode
	}
	return out
}

// TestJ62 deletes groups: empty ones only.
func TestJ62(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it answers GROUP_ID_NOT_FOUND for an unknown group")
	b := broker(t)
	tp := newTopic(t, b, 1)
	m := stable(t, b, "j62-busy", nil)
	commitOffset(m.conn, "j62-empty", tp, 0, 4)
	ready(t, b, "j62-missing")
	got := deleteGroups(m.conn, "j62-busy", "j62-empty", "j62-missing")
	code(t, "busy", got["j62-busy"], kerr.NonEmptyGroup)
	code(t, "empty", got["j62-empty"], nil)
	code(t, "missing", got["j62-missing"], kerr.GroupIDNotFound)
	equal(t, "offset", fetchOffset(m.conn, "j62-empty", tp, 0).Offset, -1)
	s, _ := describeGroup(m.conn, "j62-empty")
	equal(t, "state", s, "Dead")
}

func deleteOffset(c *conn, group string, tp topic, p int32) (int16, int16) {
	c.t.Helper()
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	rt := kmsg.NewOffsetDeleteRequestTopic()
	rt.Topic = tp.name
	rp := kmsg.NewOffsetDeleteRequestTopicPartition()
	rp.Partition = p
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	r := ask[*kmsg.OffsetDeleteResponse](c, req)
	if len(r.Topics) == 0 {
		return r.ErrorCode, 0
	}
	return r.ErrorCode, r.Topics[0].Partitions[0].ErrorCode
}

// TestJ63 deletes single offsets, but not of a topic that a live group is subscribed to.
func TestJ63(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 2)
	cn := dial(t, b)
	commitOffset(cn, "j63", tp, 0, 4)
	commitOffset(cn, "j63", tp, 1, 5)
	top, part := deleteOffset(cn, "j63", tp, 0)
	code(t, "top level", top, nil)
	code(t, "partition", part, nil)
	equal(t, "deleted", fetchOffset(cn, "j63", tp, 0).Offset, -1)
	equal(t, "kept", fetchOffset(cn, "j63", tp, 1).Offset, 5)
	ready(t, b, "j63-missing")
	top, _ = deleteOffset(cn, "j63-missing", tp, 0)
	code(t, "missing group", top, kerr.GroupIDNotFound)

	live := newMember(ready(t, b, "j63-live"), "j63-live", nil)
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = []string{tp.name}
	join := func(id string) *kmsg.JoinGroupResponse {
		req := joinRequest(9, "j63-live", id, nil, "range")
		req.Protocols[0].Metadata = meta.AppendTo(nil)
		return ask[*kmsg.JoinGroupResponse](live.conn, req)
	}
	r := join("")
	r = join(r.MemberID)
	code(t, "JoinGroup", r.ErrorCode, nil)
	live.id, live.gen = r.MemberID, r.Generation
	code(t, "SyncGroup", live.sync(map[string]string{live.id: "x"}).ErrorCode, nil)
	_, part = deleteOffset(live.conn, "j63-live", tp, 0)
	code(t, "subscribed", part, kerr.GroupSubscribedToTopic)
}

// TestCommitsSurvive holds offsets, the group's generation and its members across SIGKILL and SIGTERM.
func TestCommitsSurvive(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it answers a commit before it is written")
	b := harness.Start(t, harness.Config{Set: map[string]string{"group.initial.rebalance.delay.ms": "0"}})
	b.Owned(t)
	tp := newTopic(t, b, 1)
	m := stable(t, b, "survivor", nil)
	static := stable(t, b, "survivor-static", ptr("i-1"))
	for i, end := range []func(){b.Kill, func() { b.Stop() }} {
		offset := int64(10 + i)
		commitOffset(m.conn, "simple", tp, 0, offset)
		req := commitRequest(9, m.group, tp, 0, offset)
		req.Generation, req.MemberID = m.gen, m.id
		code(t, "member's commit", ask[*kmsg.OffsetCommitResponse](m.conn, req).Topics[0].Partitions[0].ErrorCode, nil)
		end()
		if _, err := b.Launch(); err != nil {
			t.Fatal(err)
		}
		m.conn = ready(t, b, m.group)
		static.conn = ready(t, b, static.group)
		ready(t, b, "simple")
		equal(t, "simple group", fetchOffset(m.conn, "simple", tp, 0).Offset, offset)
		equal(t, "group with a member", fetchOffset(m.conn, m.group, tp, 0).Offset, offset)
		code(t, "the member is still known", m.heartbeat(), nil)
		equal(t, "its assignment", string(m.sync(nil).MemberAssignment), "all")
		code(t, "the static member too", static.heartbeat(), nil)
		g := describeGroups(m.conn, 5, m.group)
		equal(t, "state", g.State, "Stable")
		equal(t, "members", len(g.Members), 1)
	}
	code(t, "delete", deleteGroups(m.conn, "simple")["simple"], nil)
	b.Kill()
	if _, err := b.Launch(); err != nil {
		t.Fatal(err)
	}
	cn := ready(t, b, "simple")
	equal(t, "a deleted group stays deleted", fetchOffset(cn, "simple", tp, 0).Offset, -1)
}
