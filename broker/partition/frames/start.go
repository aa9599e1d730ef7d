package frames

import "encoding/binary"

// A new log start is an entry of the raft log, so that every replica learns of
// it and none comes back with what was deleted: the byte 0xFF, with which no
// batch begins, the version 1, and the offset, big-endian. It takes no offset
// itself; readers do not see it.
const (
	startMagic    = 0xFF
	startVersion  = 1
	startBytesLen = 10
)

// IsStart reports whether a payload is a log start rather than batches.
func IsStart(payload []byte) bool { return len(payload) > 0 && payload[0] == startMagic }

// EncodeStart is the payload of a log start.
func EncodeStart(offset int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{startMagic, startVersion}, uint64(offset))
}

// ParseStart is the offset in an entry that EncodeStart made.
func ParseStart(payload []byte) (offset int64, ok bool) {
	if len(payload) != startBytesLen || payload[0] != startMagic || payload[1] != startVersion {
		return 0, false
	}
	offset = int64(binary.BigEndian.Uint64(payload[2:]))
	return offset, offset >= 0
}
