package record

import (
	"fmt"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

const groupVersionWritten = 3

// Group is a GroupMetadataValue: a classic group as of one generation.
type Group struct {
	ProtocolType string
	Generation   int32
	Protocol     string // "" (null) without members
	Leader       string // "" (null) without members
	StateMs      int64  // when the state was entered, Unix ms; -1 when the version has none
	Members      []Member
}

// Member is one member of a Group.
type Member struct {
	MemberID           string
	InstanceID         string // "" (null) for a dynamic member
	ClientID           string
	ClientHost         string
	RebalanceTimeoutMs int32 // the session timeout when the version has none
	SessionTimeoutMs   int32
	Subscription       []byte // the metadata for Group.Protocol
	Assignment         []byte
}

// Encode gives the value in the version Kafka writes.
func (g *Group) Encode() []byte { return g.encode(groupVersionWritten) }

func (g *Group) encode(version int16) []byte {
	x := msg.GroupMetadataValue{
		ProtocolType: g.ProtocolType, Generation: g.Generation, Protocol: nullable(g.Protocol), Leader: nullable(g.Leader),
		CurrentStateTimestamp: g.StateMs, Members: make([]msg.MemberMetadata, len(g.Members)),
	}
	for i := range g.Members {
		m := &g.Members[i]
		x.Members[i] = msg.MemberMetadata{
			MemberId: m.MemberID, GroupInstanceId: nullable(m.InstanceID), ClientId: m.ClientID, ClientHost: m.ClientHost,
			RebalanceTimeout: m.RebalanceTimeoutMs, SessionTimeout: m.SessionTimeoutMs,
			Subscription: m.Subscription, Assignment: m.Assignment,
		}
	}
	var w wire.Writer
	msg.EncodeVersioned(&w, version, &x)
	return encoded(&w)
}

// DecodeGroup reads a GroupMetadataValue and checks that it can be a group: ids unique, members only with a protocol.
func DecodeGroup(b []byte) (Group, error) {
	var x msg.GroupMetadataValue
	r := wire.NewReader(b)
	msg.DecodeVersioned(&r, &x)
	if err := failed(&r, "group value"); err != nil {
		return Group{}, err
	}
	g := Group{
		ProtocolType: x.ProtocolType, Generation: x.Generation, Protocol: x.Protocol.String, Leader: x.Leader.String,
		StateMs: x.CurrentStateTimestamp, Members: make([]Member, len(x.Members)),
	}
	for i := range x.Members {
		m := &x.Members[i]
		if m.RebalanceTimeout < 0 { // version 0 has none
			m.RebalanceTimeout = m.SessionTimeout
		}
		g.Members[i] = Member{
			MemberID: m.MemberId, InstanceID: m.GroupInstanceId.String, ClientID: m.ClientId, ClientHost: m.ClientHost,
			RebalanceTimeoutMs: m.RebalanceTimeout, SessionTimeoutMs: m.SessionTimeout,
			Subscription: m.Subscription, Assignment: m.Assignment,
		}
	}
	return g, g.valid()
}

func (g *Group) valid() error {
	ids, instances := map[string]bool{}, map[string]bool{}
	for _, m := range g.Members {
		if m.MemberID == "" || ids[m.MemberID] {
			return fmt.Errorf("%w: member id %q is empty or there twice", ErrMalformed, m.MemberID)
		}
		ids[m.MemberID] = true
		if i := m.InstanceID; i != "" && instances[i] {
			return fmt.Errorf("%w: instance id %q is there twice", ErrMalformed, i)
		} else if i != "" {
			instances[i] = true
		}
	}
	if len(g.Members) > 0 && (g.Protocol == "" || g.ProtocolType == "") {
		return fmt.Errorf("%w: members without a protocol", ErrMalformed)
	}
	return nil
}

func nullable(s string) wire.NullString { return wire.NullString{String: s, Valid: s != ""} }
