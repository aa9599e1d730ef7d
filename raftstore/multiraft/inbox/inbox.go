package inbox

import (
	"sync"
	"sync/atomic"

	pb "go.etcd.io/raft/v3/raftpb"
)

// What may wait for one group.
const (
	MessagesMax = 4096
	BytesMax    = 32 << 20
)

// entryBytes is what an entry takes besides its data, about.
const entryBytes = 128

// Budget is the bytes of peers' entries that a node holds in memory before they
// are durable.
type Budget struct {
	max  int64
	used atomic.Int64
}

// NewBudget makes one.
func NewBudget(bytesMax int) *Budget { return &Budget{max: int64(bytesMax)} }

// Used is how much is in use.
func (b *Budget) Used() int64 { return b.used.Load() }

// Add takes or, negative, gives back.
func (b *Budget) Add(bytes int) { b.used.Add(int64(bytes)) }

// contextBytes of a message's context are a part of the place it takes: raft
// makes none that is longer.
const contextBytes = 16

// Size is what a message counts: nothing if it holds neither entries nor a
// snapshot, nor more of a context than raft makes.
func Size(m *pb.Message) int {
	return EntriesSize(m.GetEntries()) + len(m.GetSnapshot().GetData()) + max(0, len(m.GetContext())-contextBytes)
}

// EntriesSize is what entries count.
func EntriesSize(entries []*pb.Entry) (n int) {
	for _, e := range entries {
		n += entryBytes + len(e.GetData())
	}
	return n
}

// Inbox is the messages that wait for a group.
type Inbox struct {
	mu    sync.Mutex
	msgs  []*pb.Message
	bytes int
}

// Put adds a message if there is room. A message larger than the bounds finds
// room when there is no other.
func (i *Inbox) Put(m *pb.Message, node *Budget) bool {
	size := Size(m)
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.msgs) >= MessagesMax {
		return false
	}
	if size > 0 {
		if i.bytes > 0 && i.bytes+size > BytesMax {
			return false
		}
		if used := node.used.Add(int64(size)); used > node.max && used > int64(size) {
			node.used.Add(-int64(size))
			return false
		}
		i.bytes += size
	}
	i.msgs = append(i.msgs, m)
	return true
}

// Take gives the messages that wait, and gives back what they count.
func (i *Inbox) Take(node *Budget) []*pb.Message {
	i.mu.Lock()
	defer i.mu.Unlock()
	msgs := i.msgs
	node.Add(-i.bytes)
	i.msgs, i.bytes = nil, 0
	return msgs
}
