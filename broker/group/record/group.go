package record

import (
	"fmt"

	"chronik/kafka/wire"
)

const (
	groupVersionMax     = 4
	groupVersionWritten = 3

	memberBytesMin         = 2 + 2 + 2 + 4 + 4 + 4 // of version 0
	memberBytesMinFlexible = 1 + 1 + 1 + 1 + 4 + 4 + 1 + 1 + 1
)

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
	w, flex := wire.NewWriter(nil), version >= flexibleFrom
	w.Int16(version)
	w.String(g.ProtocolType, flex)
	w.Int32(g.Generation)
	w.NullString(nullable(g.Protocol), flex, true)
	w.NullString(nullable(g.Leader), flex, true)
	if version >= 2 {
		w.Int64(g.StateMs)
	}
	w.ArrayLen(len(g.Members), flex)
	for i := range g.Members {
		g.Members[i].encode(w, version)
	}
	if flex {
		w.NoTags()
	}
	return encoded(w)
}

func (m *Member) encode(w *wire.Writer, version int16) {
	flex := version >= flexibleFrom
	w.String(m.MemberID, flex)
	if version >= 3 {
		w.NullString(nullable(m.InstanceID), flex, true)
	}
	w.String(m.ClientID, flex)
	w.String(m.ClientHost, flex)
	if version >= 1 {
		w.Int32(m.RebalanceTimeoutMs)
	}
	w.Int32(m.SessionTimeoutMs)
	w.BytesValue(m.Subscription, flex)
	w.BytesValue(m.Assignment, flex)
	if flex {
		w.NoTags()
	}
}

// DecodeGroup reads a GroupMetadataValue and checks that it can be a group: ids unique, members only with a protocol.
func DecodeGroup(b []byte) (g Group, err error) {
	r := wire.NewReader(b)
	version := r.Int16()
	if r.Err() == nil && (version < 0 || version > groupVersionMax) {
		return g, fmt.Errorf("%w: group value of version %d", ErrMalformed, version)
	}
	flex, bytesMin := version >= flexibleFrom, memberBytesMin
	if flex {
		bytesMin = memberBytesMinFlexible
	}
	g.ProtocolType = r.String(flex)
	g.Generation = r.Int32()
	g.Protocol = r.NullString(flex, true).String
	g.Leader = r.NullString(flex, true).String
	g.StateMs = -1
	if version >= 2 {
		g.StateMs = r.Int64()
	}
	g.Members = make([]Member, r.ArrayLen(flex, bytesMin))
	for i := 0; i < len(g.Members) && r.Err() == nil; i++ {
		g.Members[i].decode(&r, version)
	}
	if flex {
		r.SkipTags()
	}
	if err := failed(&r, "group value"); err != nil {
		return Group{}, err
	}
	return g, g.valid()
}

func (m *Member) decode(r *wire.Reader, version int16) {
	flex := version >= flexibleFrom
	m.MemberID = r.String(flex)
	if version >= 3 {
		m.InstanceID = r.NullString(flex, true).String
	}
	m.ClientID = r.String(flex)
	m.ClientHost = r.String(flex)
	m.RebalanceTimeoutMs = -1
	if version >= 1 {
		m.RebalanceTimeoutMs = r.Int32()
	}
	m.SessionTimeoutMs = r.Int32()
	if m.RebalanceTimeoutMs < 0 {
		m.RebalanceTimeoutMs = m.SessionTimeoutMs
	}
	m.Subscription = r.Bytes(flex)
	m.Assignment = r.Bytes(flex)
	if flex {
		r.SkipTags()
	}
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
