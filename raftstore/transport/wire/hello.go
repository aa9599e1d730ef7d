package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The versions of the wire format that this release speaks.
const (
	VersionMin = 1
	VersionMax = 1
)

// ErrRefused is a hello that was answered with a refusal, or whose answer does
// not fit: another cluster, another node than expected, no common version.
var ErrRefused = errors.New("wire: refused")

const helloMagic = 0x54464843 // "CHFT"

// Class says what a connection is for.
type Class uint8

const (
	Small Class = 1
	Bulk  Class = 2
	Calls Class = 3
)

func (c Class) String() string {
	switch c {
	case Small:
		return "small"
	case Bulk:
		return "bulk"
	case Calls:
		return "calls"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Hello opens a connection: the dialer's first, then the answer.
//
//	0   u32  magic     "CHFT": something else that listens, or dials
//	4   u16  min, u16 max: the versions of the wire format that the sender speaks
//	8   u8   class     of the connection
//	9   u8   status    of an answer: 0 Welcome, else why not
//	10  u64  node      the sender
//	18  u64  expected  the node that the dialer means to reach; 0: whoever is there
//	26  u8   length, cluster id; empty: not known yet
//	    u16  length, words for people: why it was refused
//
// What later releases append is ignored.
type Hello struct {
	Min, Max       uint16
	Class          Class
	Status         Status
	Node, Expected uint64
	Cluster        string // at most 255 bytes
	Words          string
}

// Status is the answer to a hello.
type Status uint8

const (
	Welcome    Status = 0
	BadVersion Status = 1
	BadCluster Status = 2
	BadNode    Status = 3
	BadClass   Status = 4
	helloLen          = 26
)

// Append appends the body of a hello frame.
func (h *Hello) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, helloMagic)
	b = binary.LittleEndian.AppendUint16(b, h.Min)
	b = binary.LittleEndian.AppendUint16(b, h.Max)
	b = append(b, byte(h.Class), byte(h.Status))
	b = binary.LittleEndian.AppendUint64(b, h.Node)
	b = binary.LittleEndian.AppendUint64(b, h.Expected)
	cluster := h.Cluster[:min(len(h.Cluster), 255)]
	b = append(append(b, byte(len(cluster))), cluster...)
	words := h.Words[:min(len(h.Words), 1024)]
	b = binary.LittleEndian.AppendUint16(b, uint16(len(words)))
	return append(b, words...)
}

// ParseHello reads the body of a hello frame.
func ParseHello(b []byte) (h Hello, err error) {
	r := reader{b: b}
	head := r.take(helloLen)
	if r.bad || binary.LittleEndian.Uint32(head) != helloMagic {
		return h, fmt.Errorf("%w: not a hello", ErrBadFrame)
	}
	h.Min, h.Max = binary.LittleEndian.Uint16(head[4:]), binary.LittleEndian.Uint16(head[6:])
	h.Class, h.Status = Class(head[8]), Status(head[9])
	h.Node, h.Expected = binary.LittleEndian.Uint64(head[10:]), binary.LittleEndian.Uint64(head[18:])
	h.Cluster = string(r.take(uint64(r.u8())))
	if n := r.take(2); !r.bad {
		h.Words = string(r.take(uint64(binary.LittleEndian.Uint16(n))))
	}
	if r.bad || h.Min > h.Max || h.Min == 0 {
		return Hello{}, fmt.Errorf("%w: hello of %d bytes", ErrBadFrame, len(b))
	}
	return h, nil
}

// common is the version that both sides speak, 0 if there is none.
func common(a, b *Hello) uint16 {
	if v := min(a.Max, b.Max); v >= max(a.Min, b.Min) {
		return v
	}
	return 0
}

// Answer is what self says to a hello.
func (h *Hello) Answer(self Hello) Hello {
	self.Class = h.Class
	refuse := func(s Status, format string, args ...any) Hello {
		self.Status, self.Words = s, fmt.Sprintf(format, args...)
		return self
	}
	switch {
	case common(h, &self) == 0:
		return refuse(BadVersion, "node %d speaks versions %d to %d of the wire format, node %d speaks %d to %d", h.Node, h.Min, h.Max, self.Node, self.Min, self.Max)
	case h.Cluster != "" && self.Cluster != "" && h.Cluster != self.Cluster:
		return refuse(BadCluster, "node %d belongs to cluster %s, node %d to cluster %s", h.Node, h.Cluster, self.Node, self.Cluster)
	case h.Class != Calls && h.Cluster == "" && self.Cluster != "":
		return refuse(BadCluster, "node %d does not say which cluster it belongs to, node %d belongs to cluster %s", h.Node, self.Node, self.Cluster)
	case h.Expected != 0 && h.Expected != self.Node:
		return refuse(BadNode, "here is node %d, not node %d", self.Node, h.Expected)
	case h.Class != Small && h.Class != Bulk && h.Class != Calls:
		return refuse(BadClass, "node %d does not know connections of %s", self.Node, h.Class)
	case h.Class != Calls && (h.Node == 0 || h.Node == self.Node):
		return refuse(BadNode, "node %d does not take messages from node %d", self.Node, h.Node)
	}
	return self
}

// Accepts checks the answer to h and gives the version of the connection.
func (h *Hello) Accepts(answer *Hello) (uint16, error) {
	if answer.Status != Welcome {
		return 0, fmt.Errorf("%w: %q", ErrRefused, answer.Words)
	}
	theirs := *answer
	if theirs.Cluster == "" { // it is about to join
		theirs.Cluster = h.Cluster
	}
	if again := theirs.Answer(*h); again.Status == BadCluster || again.Status == BadVersion {
		return 0, fmt.Errorf("%w: %s", ErrRefused, again.Words)
	}
	if h.Expected != 0 && answer.Node != h.Expected {
		return 0, fmt.Errorf("%w: there is node %d, not node %d", ErrRefused, answer.Node, h.Expected)
	}
	return common(h, answer), nil
}
