package proto

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// joinRequest is a JoinGroup of protocol type "consumer" with the given protocols, whose metadata is their name.
func joinRequest(version int16, group, member string, instance *string, protocols ...string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID = version, group, member, instance
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = 10_000, 5_000, "consumer"
	for _, p := range protocols {
		rp := kmsg.NewJoinGroupRequestProtocol()
		rp.Name, rp.Metadata = p, []byte("of "+p)
		req.Protocols = append(req.Protocols, rp)
	}
	return req
}

// member is one group member on a connection of its own.
type member struct {
	*conn
	group    string
	id       string
	instance *string
	gen      int32
	protos   []string
}

func newMember(c *conn, group string, instance *string, protos ...string) *member {
	if len(protos) == 0 {
		protos = []string{"range"}
	}
	return &member{conn: c, group: group, instance: instance, protos: protos}
}

func (m *member) request() *kmsg.JoinGroupRequest {
	return joinRequest(9, m.group, m.id, m.instance, m.protos...)
}

// beginJoin takes a member id if the group gives one first (J14), then sends the join that will wait.
func (m *member) beginJoin() (*kmsg.JoinGroupRequest, int32) {
	m.t.Helper()
	if m.id == "" && m.instance == nil {
		r := ask[*kmsg.JoinGroupResponse](m.conn, m.request())
		code(m.t, "J14 first join", r.ErrorCode, kerr.MemberIDRequired)
		m.id = r.MemberID
	}
	req := m.request()
	return req, m.send(req)
}

func (m *member) endJoin(req *kmsg.JoinGroupRequest, corr int32) *kmsg.JoinGroupResponse {
	m.t.Helper()
	r := m.receive(req, corr).(*kmsg.JoinGroupResponse)
	code(m.t, "JoinGroup", r.ErrorCode, nil)
	m.id, m.gen = r.MemberID, r.Generation
	return r
}

func (m *member) join() *kmsg.JoinGroupResponse {
	m.t.Helper()
	return m.endJoin(m.beginJoin())
}

// syncRequest is a SyncGroup; a leader gives assignments by member id.
func (m *member) syncRequest(assign map[string]string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.Generation, req.MemberID, req.InstanceID = 5, m.group, m.gen, m.id, m.instance
	for id, a := range assign {
		ra := kmsg.NewSyncGroupRequestGroupAssignment()
		ra.MemberID, ra.MemberAssignment = id, []byte(a)
		req.GroupAssignment = append(req.GroupAssignment, ra)
	}
	return req
}

func (m *member) sync(assign map[string]string) *kmsg.SyncGroupResponse {
	m.t.Helper()
	return ask[*kmsg.SyncGroupResponse](m.conn, m.syncRequest(assign))
}

func (m *member) heartbeat() int16 {
	m.t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.Generation, req.MemberID, req.InstanceID = 4, m.group, m.gen, m.id, m.instance
	return ask[*kmsg.HeartbeatResponse](m.conn, req).ErrorCode
}

func leave(c *conn, group string, members ...kmsg.LeaveGroupRequestMember) *kmsg.LeaveGroupResponse {
	c.t.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group, req.Members = 5, group, members
	r := ask[*kmsg.LeaveGroupResponse](c, req)
	equal(c.t, "members in the LeaveGroup response", len(r.Members), len(members))
	return r
}

func leaver(id string, instance *string) kmsg.LeaveGroupRequestMember {
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = id, instance
	return m
}

// stable makes a group of one member, synced.
func stable(t *testing.T, b *harness.Broker, group string, instance *string) *member {
	t.Helper()
	m := newMember(ready(t, b, group), group, instance)
	r := m.join()
	equal(t, "leader", r.LeaderID, m.id)
	s := m.sync(map[string]string{m.id: "all"})
	code(t, "SyncGroup", s.ErrorCode, nil)
	equal(t, "assignment", string(s.MemberAssignment), "all")
	return m
}

// ready returns a connection once the coordinator of a group answers (C3: its topic may have to be made first).
func ready(t *testing.T, b *harness.Broker, group string) *conn {
	t.Helper()
	cn := dial(t, b)
	harness.Eventually(t, answerMax, "coordinator of "+group, func() error {
		if c := findCoordinator(cn, 4, group).ErrorCode; c != 0 {
			return fmt.Errorf("FindCoordinator: %s", codeName(c))
		}
		req := kmsg.NewPtrHeartbeatRequest()
		req.Version, req.Group, req.MemberID = 4, group, "nobody"
		if c := ask[*kmsg.HeartbeatResponse](cn, req).ErrorCode; c == 14 || c == 15 || c == 16 || c == 0 {
			return fmt.Errorf("heartbeat of nobody: %s", codeName(c))
		}
		return nil
	})
	return cn
}

// coordinator is one answer of FindCoordinator, of whatever version.
type coordinator struct {
	ErrorCode int16
	Node      int32
	Addr      string
}

func findCoordinator(c *conn, version int16, key string) coordinator {
	c.t.Helper()
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version, req.CoordinatorKey, req.CoordinatorKeys = version, key, []string{key}
	r := ask[*kmsg.FindCoordinatorResponse](c, req)
	if version < 4 {
		return coordinator{r.ErrorCode, r.NodeID, fmt.Sprintf("%s:%d", r.Host, r.Port)}
	}
	equal(c.t, "coordinators", len(r.Coordinators), 1)
	k := r.Coordinators[0]
	equal(c.t, "key", k.Key, key)
	return coordinator{k.ErrorCode, k.NodeID, fmt.Sprintf("%s:%d", k.Host, k.Port)}
}

// TestFindCoordinator is C1 to C6.
func TestFindCoordinator(t *testing.T) {
	b := broker(t)
	cn := ready(t, b, "c1")
	for version := int16(0); version <= 6; version++ {
		r := findCoordinator(cn, version, "c1")
		code(t, "FindCoordinator", r.ErrorCode, nil)
		equal(t, "C6 address", r.Addr, b.Addr)
	}
	code(t, "C5 empty group id", findCoordinator(cn, 4, "").ErrorCode, nil)
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version, req.CoordinatorKeys = 4, []string{"a", "b", "c"}
	equal(t, "C1 answers to three keys", len(ask[*kmsg.FindCoordinatorResponse](cn, req).Coordinators), 3)
	req.CoordinatorType = 2
	harness.SkipOnPeer(t, "kfake", "it answers share coordinators at any version")
	for _, k := range ask[*kmsg.FindCoordinatorResponse](cn, req).Coordinators {
		code(t, "C1 share below v6", k.ErrorCode, kerr.InvalidRequest)
	}
}

// TestC3 holds that the first group on an empty broker works, and that its topic is listed as internal.
func TestC3(t *testing.T) {
	b := harness.Start(t, harness.Config{Set: map[string]string{"offsets.topic.num.partitions": "3", "group.initial.rebalance.delay.ms": "0"}})
	m := stable(t, b, "first", nil)
	code(t, "heartbeat", m.heartbeat(), nil)
	harness.SkipOnPeer(t, "kfake", "it has no offsets topic")
	r := ask[*kmsg.MetadataResponse](m.conn, metadataRequest(9, false, []string{"__consumer_offsets"}))
	code(t, "metadata", r.Topics[0].ErrorCode, nil)
	equal(t, "G11 internal", r.Topics[0].IsInternal, true)
	equal(t, "M4 partitions", len(r.Topics[0].Partitions), 3)
}

// TestJoinRefused is the list of joins that must be refused.
func TestJoinRefused(t *testing.T) {
	b := broker(t)
	busy := stable(t, b, "j13", nil)
	type edit func(*kmsg.JoinGroupRequest)
	cases := []struct {
		rule  string
		group string
		edit  edit
		want  *kerr.Error
	}{
		{"J1 empty group id", "", nil, kerr.InvalidGroupID},
		{"J10 session timeout too short", "j10", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 999 }, kerr.InvalidSessionTimeout},
		{"J10 session timeout too long", "j10", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1_800_001 }, kerr.InvalidSessionTimeout},
		{"J11 unknown group with a member id", "j11", func(r *kmsg.JoinGroupRequest) { r.MemberID = "somebody" }, kerr.UnknownMemberID},
		{"J11 unknown member of a known group", busy.group, func(r *kmsg.JoinGroupRequest) { r.MemberID = "somebody" }, kerr.UnknownMemberID},
		{"J13 empty group, no protocol type", "j13-e", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" }, kerr.InconsistentGroupProtocol},
		{"J13 empty group, no protocols", "j13-e", func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }, kerr.InconsistentGroupProtocol},
		{"J13 other protocol type", busy.group, func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" }, kerr.InconsistentGroupProtocol},
		{"J13 no common protocol", busy.group, func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Name = "other" }, kerr.InconsistentGroupProtocol},
		{"J14 member id required", "j14", nil, kerr.MemberIDRequired},
		{"J2 unknown static member with an id", "j2", func(r *kmsg.JoinGroupRequest) { r.MemberID, r.InstanceID = "x", ptr("i") }, kerr.UnknownMemberID},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			cn := dial(t, b)
			if c.group != "" {
				cn = ready(t, b, c.group)
			}
			for _, version := range []int16{5, 9} {
				req := joinRequest(version, c.group, "", nil, "range")
				if c.edit != nil {
					c.edit(req)
				}
				r := ask[*kmsg.JoinGroupResponse](cn, req)
				code(t, "JoinGroup", r.ErrorCode, c.want)
				equal(t, "J20 generation", r.Generation, -1)
				equal(t, "J20 members", len(r.Members), 0)
				if c.want == kerr.MemberIDRequired && !strings.HasPrefix(r.MemberID, "proto-test-") {
					t.Errorf("J14 member id %q, want the client id and a uuid", r.MemberID)
				}
			}
		})
	}
	code(t, "the busy group was not disturbed", busy.heartbeat(), nil)
}

// TestJoinVersions joins and syncs a group of one in every version.
func TestJoinVersions(t *testing.T) {
	b := broker(t)
	for version := int16(0); version <= 9; version++ {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			group := fmt.Sprintf("join-v%d", version)
			cn := ready(t, b, group)
			req := joinRequest(version, group, "", nil, "range", "roundrobin")
			r := ask[*kmsg.JoinGroupResponse](cn, req)
			if version >= 4 {
				code(t, "J14", r.ErrorCode, kerr.MemberIDRequired)
				req.MemberID = r.MemberID
				r = ask[*kmsg.JoinGroupResponse](cn, req)
			}
			code(t, "JoinGroup", r.ErrorCode, nil)
			equal(t, "generation", r.Generation, 1)
			equal(t, "leader", r.LeaderID, r.MemberID)
			equal(t, "protocol", *r.Protocol, "range")
			equal(t, "members", len(r.Members), 1)
			equal(t, "metadata", string(r.Members[0].ProtocolMetadata), "of range")
			if version >= 7 {
				equal(t, "protocol type", *r.ProtocolType, "consumer")
			}
			sync := kmsg.NewPtrSyncGroupRequest()
			sync.Version, sync.Group, sync.Generation, sync.MemberID = min(version, 5), group, 1, r.MemberID
			if version >= 5 {
				sync.ProtocolType, sync.Protocol = ptr("consumer"), ptr("range")
			}
			ra := kmsg.NewSyncGroupRequestGroupAssignment()
			ra.MemberID, ra.MemberAssignment = r.MemberID, []byte("mine")
			sync.GroupAssignment = append(sync.GroupAssignment, ra)
			s := ask[*kmsg.SyncGroupResponse](cn, sync)
			code(t, "SyncGroup", s.ErrorCode, nil)
			equal(t, "assignment", string(s.MemberAssignment), "mine")
			hb := kmsg.NewPtrHeartbeatRequest()
			hb.Version, hb.Group, hb.Generation, hb.MemberID = min(version, 4), group, 1, r.MemberID
			code(t, "Heartbeat", ask[*kmsg.HeartbeatResponse](cn, hb).ErrorCode, nil)
			lv := kmsg.NewPtrLeaveGroupRequest()
			lv.Version, lv.Group, lv.MemberID = min(version, 5), group, r.MemberID
			lv.Members = []kmsg.LeaveGroupRequestMember{leaver(r.MemberID, nil)}
			code(t, "LeaveGroup", ask[*kmsg.LeaveGroupResponse](cn, lv).ErrorCode, nil)
			code(t, "J40 after leaving", ask[*kmsg.HeartbeatResponse](cn, hb).ErrorCode, kerr.UnknownMemberID)
		})
	}
}

// TestTwoMembers is J16, J18, J19, J31 to J33, J40 and J52 with two members.
func TestTwoMembers(t *testing.T) {
	b := broker(t)
	one := stable(t, b, "two", nil)
	two := newMember(dial(t, b), "two", nil, "roundrobin", "range")
	req, corr := two.beginJoin()
	harness.Eventually(t, time.Minute, "J40 the first member hears of the rebalance", func() error {
		if c := one.heartbeat(); c != kerr.RebalanceInProgress.Code {
			return fmt.Errorf("heartbeat: %s", codeName(c))
		}
		return nil
	})
	code(t, "J30 sync while preparing", one.sync(nil).ErrorCode, kerr.RebalanceInProgress)
	two.silent(100 * time.Millisecond) // J18: waits for the known member
	r1 := one.join()
	r2 := two.endJoin(req, corr)
	equal(t, "J19 generation", r1.Generation, 2)
	equal(t, "same generation", r2.Generation, 2)
	equal(t, "J19 leader is kept", r1.LeaderID, one.id)
	equal(t, "same leader", r2.LeaderID, one.id)
	equal(t, "J19 the only common protocol", *r1.Protocol, "range")
	equal(t, "J19 members for the leader", len(r1.Members), 2)
	equal(t, "J19 members for the other", len(r2.Members), 0)

	sreq := two.syncRequest(nil)
	scorr := two.send(sreq)
	two.silent(100 * time.Millisecond) // J31: waits for the leader
	code(t, "J40 completing", one.heartbeat(), nil)
	code(t, "O4 commit while completing", one.commit(b, 5), kerr.RebalanceInProgress)
	equal(t, "leader's assignment", string(one.sync(map[string]string{one.id: "a", two.id: "b"}).MemberAssignment), "a")
	s := two.receive(sreq, scorr).(*kmsg.SyncGroupResponse)
	code(t, "SyncGroup", s.ErrorCode, nil)
	equal(t, "J31 assignment", string(s.MemberAssignment), "b")
	equal(t, "J32 stored assignment", string(two.sync(nil).MemberAssignment), "b")

	r2 = two.join()
	equal(t, "J16 follower unchanged: same generation at once", r2.Generation, 2)
	old := *two
	old.gen = 1
	code(t, "J40 old generation", old.heartbeat(), kerr.IllegalGeneration)
	code(t, "J30 old generation", old.sync(nil).ErrorCode, kerr.IllegalGeneration)
	wrong := two.syncRequest(nil)
	wrong.ProtocolType, wrong.Protocol = ptr("consumer"), ptr("sticky")
	code(t, "J30 other protocol", ask[*kmsg.SyncGroupResponse](two.conn, wrong).ErrorCode, kerr.InconsistentGroupProtocol)

	code(t, "leave", leave(one.conn, "two", leaver(one.id, nil)).Members[0].ErrorCode, nil)
	code(t, "J52 the other hears of it", two.heartbeat(), kerr.RebalanceInProgress)
	r2 = two.join()
	equal(t, "generation", r2.Generation, 3)
	equal(t, "leader", r2.LeaderID, two.id)
	equal(t, "protocol: the member's first", *r2.Protocol, "roundrobin")
}

// TestJ33 answers held syncs when another rebalance starts.
func TestJ33(t *testing.T) {
	b := broker(t)
	one := stable(t, b, "j33", nil)
	two := newMember(dial(t, b), "j33", nil)
	req, corr := two.beginJoin()
	one.join()
	two.endJoin(req, corr)
	sreq := two.syncRequest(nil)
	scorr := two.send(sreq)
	two.silent(100 * time.Millisecond)
	code(t, "leave", leave(one.conn, "j33", leaver(one.id, nil)).Members[0].ErrorCode, nil)
	code(t, "J33 held sync", two.receive(sreq, scorr).(*kmsg.SyncGroupResponse).ErrorCode, kerr.RebalanceInProgress)
}

// TestJ41 removes a member that says nothing for its session timeout.
func TestJ41(t *testing.T) {
	b := broker(t)
	one := newMember(ready(t, b, "j41"), "j41", nil)
	req := one.request()
	req.SessionTimeoutMillis = 4000
	r := ask[*kmsg.JoinGroupResponse](one.conn, req)
	req.MemberID = r.MemberID
	r = ask[*kmsg.JoinGroupResponse](one.conn, req)
	code(t, "JoinGroup", r.ErrorCode, nil)
	one.id, one.gen = r.MemberID, r.Generation
	one.sync(map[string]string{one.id: "all"})
	start := time.Now()
	for time.Since(start) < 5*time.Second {
		code(t, "heartbeats keep it", one.heartbeat(), nil)
		time.Sleep(100 * time.Millisecond) // the pace of heartbeats
	}
	harness.Eventually(t, time.Minute, "expiry", func() error {
		if s, n := describeGroup(one.conn, "j41"); s != "Empty" || n != 0 {
			return fmt.Errorf("state %s with %d members", s, n)
		}
		return nil
	})
	code(t, "heartbeat after the expiry", one.heartbeat(), kerr.UnknownMemberID)
}

// TestStatic is J15 and J51: a member that comes back under its instance id keeps its place.
func TestStatic(t *testing.T) {
	b := broker(t)
	one := stable(t, b, "static", ptr("i-1"))
	if !strings.HasPrefix(one.id, "i-1-") {
		t.Errorf("J15 member id %q, want the instance id and a uuid", one.id)
	}
	back := newMember(dial(t, b), "static", ptr("i-1"))
	r := back.join()
	equal(t, "J15 same generation: no rebalance", r.Generation, one.gen)
	if back.id == one.id {
		t.Error("J15 the member id was not replaced")
	}
	if !r.SkipAssignment {
		t.Error("J15 v9: skipAssignment is not set for the leader")
	}
	equal(t, "J15 the assignment is still there", string(back.sync(nil).MemberAssignment), "all")
	code(t, "J2 the old member id is fenced", one.heartbeat(), kerr.FencedInstanceID)
	code(t, "J30 its sync too", one.sync(nil).ErrorCode, kerr.FencedInstanceID)
	code(t, "J2 unknown instance", leave(back.conn, "static", leaver("", ptr("i-9"))).Members[0].ErrorCode, kerr.UnknownMemberID)
	code(t, "J51 other member id", leave(back.conn, "static", leaver(one.id, ptr("i-1"))).Members[0].ErrorCode, kerr.FencedInstanceID)
	code(t, "J51 by instance id alone", leave(back.conn, "static", leaver("", ptr("i-1"))).Members[0].ErrorCode, nil)
	code(t, "gone", back.heartbeat(), kerr.UnknownMemberID)
}

// TestJ50 gives each leaver its own answer, and J53 an unknown group.
func TestJ50(t *testing.T) {
	b := broker(t)
	one := stable(t, b, "j50", nil)
	r := leave(one.conn, "j50", leaver("nobody", nil), leaver(one.id, nil))
	code(t, "top level", r.ErrorCode, nil)
	code(t, "nobody", r.Members[0].ErrorCode, kerr.UnknownMemberID)
	code(t, "member", r.Members[1].ErrorCode, nil)
	ready(t, b, "j53")
	code(t, "J53", leave(one.conn, "j53", leaver("nobody", nil)).Members[0].ErrorCode, kerr.UnknownMemberID)
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group, req.MemberID = 2, "j50", "nobody"
	code(t, "v2: top level", ask[*kmsg.LeaveGroupResponse](one.conn, req).ErrorCode, kerr.UnknownMemberID)
}

// TestJ17 waits for more members before the first generation; both joins then end in one.
func TestJ17(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it has no initial delay")
	b := harness.Start(t, harness.Config{Set: map[string]string{"group.initial.rebalance.delay.ms": "600"}})
	one := newMember(ready(t, b, "j17"), "j17", nil)
	two := newMember(dial(t, b), "j17", nil)
	start := time.Now()
	req1, corr1 := one.beginJoin()
	req2, corr2 := two.beginJoin()
	r1, r2 := one.endJoin(req1, corr1), two.endJoin(req2, corr2)
	if d := time.Since(start); d < 590*time.Millisecond {
		t.Errorf("the first generation was there after %v, the delay is 600 ms", d)
	}
	equal(t, "generation", r1.Generation, 1)
	equal(t, "same generation", r2.Generation, 1)
	equal(t, "members", len(r1.Members)+len(r2.Members), 2)
}

// TestJ12 limits the members of a group.
func TestJ12(t *testing.T) {
	b := harness.Start(t, harness.Config{Set: map[string]string{"group.max.size": "1", "group.initial.rebalance.delay.ms": "0"}})
	one := stable(t, b, "j12", nil)
	for _, version := range []int16{3, 9} {
		r := ask[*kmsg.JoinGroupResponse](dial(t, b), joinRequest(version, "j12", "", nil, "range"))
		code(t, "JoinGroup", r.ErrorCode, kerr.GroupMaxSizeReached)
		equal(t, "member id", r.MemberID, "")
	}
	code(t, "heartbeat", one.heartbeat(), nil)
}

// describeGroup returns a group's state and how many members it has.
func describeGroup(c *conn, group string) (string, int) {
	c.t.Helper()
	g := describeGroups(c, 5, group)
	return g.State, len(g.Members)
}

func describeGroups(c *conn, version int16, group string) kmsg.DescribeGroupsResponseGroup {
	c.t.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version, req.Groups = version, []string{group}
	r := ask[*kmsg.DescribeGroupsResponse](c, req)
	equal(c.t, "groups", len(r.Groups), 1)
	return r.Groups[0]
}

// TestDescribeGroups is J60, J61.
func TestDescribeGroups(t *testing.T) {
	b := broker(t)
	m := stable(t, b, "j60", nil)
	for version := int16(0); version <= 6; version++ {
		g := describeGroups(m.conn, version, "j60")
		code(t, "DescribeGroups", g.ErrorCode, nil)
		equal(t, "state", g.State, "Stable")
		equal(t, "protocol type", g.ProtocolType, "consumer")
		equal(t, "protocol", g.Protocol, "range")
		equal(t, "members", len(g.Members), 1)
		gm := g.Members[0]
		equal(t, "member", gm.MemberID, m.id)
		equal(t, "client id", gm.ClientID, "proto-test")
		if !strings.HasPrefix(gm.ClientHost, "/127.0.0.1") {
			t.Errorf("client host %q, want /127.0.0.1", gm.ClientHost)
		}
		if !bytes.Equal(gm.ProtocolMetadata, []byte("of range")) || !bytes.Equal(gm.MemberAssignment, []byte("all")) {
			t.Errorf("metadata %q, assignment %q", gm.ProtocolMetadata, gm.MemberAssignment)
		}
	}
	g := describeGroups(m.conn, 5, "nobody-made-this")
	code(t, "missing group v5", g.ErrorCode, nil)
	equal(t, "its state", g.State, "Dead")
	g = describeGroups(m.conn, 6, "nobody-made-this")
	code(t, "missing group v6", g.ErrorCode, kerr.GroupIDNotFound)
	equal(t, "its state", g.State, "Dead")

	list := func(version int16, states, types []string) map[string]kmsg.ListGroupsResponseGroup {
		req := kmsg.NewPtrListGroupsRequest()
		req.Version, req.StatesFilter, req.TypesFilter = version, states, types
		r := ask[*kmsg.ListGroupsResponse](m.conn, req)
		code(t, "ListGroups", r.ErrorCode, nil)
		out := map[string]kmsg.ListGroupsResponseGroup{}
		for _, g := range r.Groups {
			out[g.Group] = g
		}
		return out
	}
	commitOffset(m.conn, "j61-simple", newTopic(t, b, 1), 0, 3)
	for version := int16(0); version <= 5; version++ {
		all := list(version, nil, nil)
		equal(t, "protocol type", all["j60"].ProtocolType, "consumer")
		if s, ok := all["j61-simple"]; !ok || s.ProtocolType != "" {
			t.Errorf("J61 offset-only group: %+v (there: %v)", s, ok)
		}
		if version >= 4 {
			equal(t, "state", all["j60"].GroupState, "Stable")
		}
		if version >= 5 {
			equal(t, "type", all["j60"].GroupType, "classic")
		}
	}
	if got := list(4, []string{"stable"}, nil); got["j60"].Group == "" || got["j61-simple"].Group != "" {
		t.Errorf("J61 state filter: %v", got)
	}
	if got := list(5, nil, []string{"consumer"}); got["j60"].Group != "" {
		t.Errorf("J61 type filter: %v", got)
	}
	if got := list(5, []string{"Empty"}, []string{"Classic"}); got["j60"].Group != "" || got["j61-simple"].Group == "" {
		t.Errorf("J61 both filters: %v", got)
	}
}

// commit commits partition 0 of a topic of its own as this member.
func (m *member) commit(b *harness.Broker, offset int64) int16 {
	m.t.Helper()
	tp := newTopic(m.t, b, 1)
	req := commitRequest(9, m.group, tp, 0, offset)
	req.Generation, req.MemberID, req.InstanceID = m.gen, m.id, m.instance
	return ask[*kmsg.OffsetCommitResponse](m.conn, req).Topics[0].Partitions[0].ErrorCode
}

func commitRequest(version int16, group string, tp topic, p int32, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation, req.RetentionTimeMillis = version, group, -1, -1
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic, rt.TopicID = tp.name, tp.id
	rp := kmsg.NewOffsetCommitRequestTopicPartition()
	rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = p, offset, 0, ptr("note")
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// commitOffset commits without a member and demands success.
func commitOffset(c *conn, group string, tp topic, p int32, offset int64) {
	c.t.Helper()
	ready(c.t, &harness.Broker{Addr: c.net.RemoteAddr().String()}, group)
	r := ask[*kmsg.OffsetCommitResponse](c, commitRequest(9, group, tp, p, offset))
	code(c.t, "OffsetCommit", r.Topics[0].Partitions[0].ErrorCode, nil)
}

// fetchedOffset is one partition of OffsetFetch.
type fetchedOffset struct {
	ErrorCode int16
	Offset    int64
	Epoch     int32
	Metadata  string
}

// fetchOffset asks for one partition (v8: groups list).
func fetchOffset(c *conn, group string, tp topic, p int32) fetchedOffset {
	c.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = 8
	rg := kmsg.NewOffsetFetchRequestGroup()
	rg.Group = group
	rt := kmsg.NewOffsetFetchRequestGroupTopic()
	rt.Topic, rt.Partitions = tp.name, []int32{p}
	rg.Topics = append(rg.Topics, rt)
	req.Groups = append(req.Groups, rg)
	r := ask[*kmsg.OffsetFetchResponse](c, req)
	equal(c.t, "groups", len(r.Groups), 1)
	code(c.t, "OffsetFetch", r.Groups[0].ErrorCode, nil)
	f := r.Groups[0].Topics[0].Partitions[0]
	out := fetchedOffset{ErrorCode: f.ErrorCode, Offset: f.Offset, Epoch: f.LeaderEpoch}
	if f.Metadata != nil {
		out.Metadata = *f.Metadata
	}
	return out
}
