package classic

import "chronik/broker/group/effect"

// What members take in memory beside their strings and bytes, rounded up; BenchmarkGroupMemory measures it.
const (
	memberBytes   = 600
	pendingBytes  = 250
	protocolBytes = 64
)

// What a record takes beside its strings and bytes: batch, key, value; and each member of it.
const (
	recordBytesMin       = 160
	recordMemberBytesMin = 24
	uuidBytes            = 37 // with the dash before it
)

// Weight is about what the group's members, and the ids that have been handed out, take in memory.
func (g *Group) Weight() int { return g.weight }

func (g *Group) charge(bytes int) {
	g.weight += bytes
	g.env.Charge(bytes)
}

// weigh takes note of what a member takes now, in memory and at least in a record.
func (g *Group) weigh(m *member) {
	weight, least := m.weighs()
	g.charge(weight - m.weight)
	g.least += least - m.least
	m.weight, m.least = weight, least
}

func (m *member) weighs() (weight, least int) {
	names := len(m.id) + len(m.instanceID) + len(m.clientID) + len(m.clientHost)
	bytes, smallest := protocolsWeigh(m.protocols)
	return memberBytes + names + bytes + len(m.assignment), recordMemberBytesMin + names + smallest
}

// protocolsWeigh is what protocols take in memory, and what the one with the least metadata takes in a record.
func protocolsWeigh(protocols []Protocol) (bytes, smallest int) {
	for i, p := range protocols {
		bytes += protocolBytes + len(p.Name) + len(p.Metadata)
		if i == 0 || len(p.Metadata) < smallest {
			smallest = len(p.Metadata)
		}
	}
	return bytes, smallest
}

// mayWeigh tells whether a join brings no more than can be kept. m is the member that joins, nil for a new one.
//
// A member brings at most what a batch of the log holds, all its protocols together; and the members together, each
// with the smallest of its protocols, must fit into the record that their generation will be. A group that grows
// beyond has reached its size, whatever the number of its members. Kafka lets them join, and fails the SyncGroup
// with UNKNOWN_SERVER_ERROR, over and over.
func (g *Group) mayWeigh(m *member, req JoinRequest) effect.Error {
	bytes, smallest := protocolsWeigh(req.Protocols)
	id := len(req.MemberID)
	if id == 0 {
		id = max(len(req.InstanceID), len(req.ClientID)) + uuidBytes
	}
	least := recordBytesMin + len(g.id) + len(req.ProtocolType) + max(id, len(g.leader)) + g.least +
		recordMemberBytesMin + id + len(req.InstanceID) + len(req.ClientID) + len(req.ClientHost) + smallest
	before := 0
	if m != nil {
		least -= m.least
		before, _ = protocolsWeigh(m.protocols)
	}
	switch most := g.env.RecordBytesMax(); {
	case bytes > most || least > most:
		return effect.GroupMaxSizeReached
	case (m == nil || bytes > before) && g.env.Full():
		return effect.CoordinatorNotAvailable
	}
	return effect.None
}

// takePending takes back a member id that was handed out; false if it was not.
func (g *Group) takePending(id string) bool {
	p := g.pending[id]
	if p == nil {
		return false
	}
	g.env.Timers.Disarm(&p.timer)
	delete(g.pending, id)
	g.charge(-pendingBytes - len(id))
	return true
}
