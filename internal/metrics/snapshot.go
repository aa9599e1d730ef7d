package metrics

// Snapshot is the state of a node at one moment, told by the Source.
type Snapshot struct {
	Partitions []Partition
	Groups     []Group
	// Transactions is how many transactional ids this node coordinates, by state.
	Transactions map[string]int
	// Connections is the number of open client connections.
	Connections int
	// RequestMemoryBytes is what requests in flight hold of the budget, and
	// RequestMemoryBytesMax the budget.
	RequestMemoryBytes, RequestMemoryBytesMax int64
	// ClusterSize is the number of brokers that belong to the cluster and
	// QuorumSize the number of votes that the metadata group needs.
	ClusterSize, QuorumSize int
}

// Role is the part that this node plays in a raft group; the numbers are those
// of chronik_raft_node_state.
type Role int

// The roles.
const (
	RoleUnknown Role = iota
	RoleLeader
	RoleCandidate
	RoleFollower
)

// Partition is the state of one replica on this node.
type Partition struct {
	Topic     string
	Partition int32
	Role      Role
	Term      uint64
	// ISRSize is the number of in-sync replicas, this one included; it is
	// exported for partitions that this node leads.
	ISRSize int
	// CommitIndex and LastApplied are raft indexes.
	CommitIndex, LastApplied uint64
	// Followers are the other replicas of a partition that this node leads.
	Followers []Follower
	// LogEntries and LogBytes are what the log holds; Segments is its number
	// of files.
	LogEntries uint64
	LogBytes   int64
	Segments   int
}

// Follower is how far another replica is behind this leader.
type Follower struct {
	Node uint64
	// LagEntries is how many entries it lacks; LagMs the time since it last had
	// everything.
	LagEntries uint64
	LagMs      int64
}

// Group is the state of one consumer group that this node coordinates.
type Group struct {
	Name string
	// State is Kafka's name of the state, as "Stable".
	State   string
	Members int
	// Lag has a row for each partition with a committed offset.
	Lag []GroupLag
}

// GroupLag is how far a group is behind on one partition.
type GroupLag struct {
	Topic     string
	Partition int32
	// Records is the high watermark less the committed offset.
	Records int64
}
