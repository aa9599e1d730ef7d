package frame

import (
	"errors"
	"fmt"
)

// Index is a raft log index; the first entry of a log has index 1.
type Index uint64

// Term is a raft term.
type Term uint64

// Offset is a Kafka record offset.
type Offset int64

// Pos is a byte position in a file.
type Pos int64

// Kind says what a frame's payload is.
type Kind uint8

// The kinds of entries. An empty KindData is a raft no-op. Kind 255 is the
// mark that a clean close leaves behind the last frame; it is not an entry.
const (
	KindData   Kind = 1 // a normal raft entry
	KindConf   Kind = 2 // a raft ConfChange
	KindConfV2 Kind = 3 // a raft ConfChangeV2
	KindMark   Kind = 255
)

// Entry is one frame: an entry of the raft log.
type Entry struct {
	Index      Index
	Term       Term
	Kind       Kind
	BaseOffset Offset // first offset of the payload; the log's next offset when Count is 0
	Count      uint32 // offsets taken (last - base + 1); 0 for no-ops, membership changes, metadata commands
	// MaxTimestamp is the greatest record timestamp in milliseconds, -1 for none.
	MaxTimestamp int64
	Payload      []byte
}

// Next is the offset after the entry.
func (e *Entry) Next() Offset { return e.BaseOffset + Offset(e.Count) }

// TermRun is the start of a run of entries of one term.
type TermRun struct {
	Term        Term
	FirstIndex  Index
	FirstOffset Offset // offset of the first record at or after FirstIndex
}

// Errors of this package; test with errors.Is.
var (
	// ErrCorrupt is the sentinel under every CorruptError.
	ErrCorrupt = errors.New("segment: corrupt")
	// ErrNewerVersion is a file that a newer release wrote.
	ErrNewerVersion = errors.New("segment: written by a newer release")
	// ErrPoisoned is a segment after a failed sync or write: what is on the
	// disk is unknown until it has been opened and verified again.
	ErrPoisoned = errors.New("segment: poisoned by a failed write or sync")
	// ErrTooLarge is a payload that a frame cannot describe.
	ErrTooLarge = errors.New("segment: payload too large")
)

// CorruptError is damage at a known place: bytes that were durable and no
// longer are what was written, or a file that is missing.
type CorruptError struct {
	Path   string
	Offset Pos    // position in the file
	What   string // the field or rule
	Want   string // what the rule asks for
	Got    string
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("segment: corrupt: %s at %d: %s: want %s, got %s", e.Path, e.Offset, e.What, e.Want, e.Got)
}

// Unwrap makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// Corrupt is a CorruptError.
func Corrupt(path string, at Pos, what string, want, got any) error {
	return &CorruptError{Path: path, Offset: at, What: what, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
}

// VersionError is a file or frame of a format version that this build does not
// know. Its hash verified, so it is not damage.
type VersionError struct {
	Path      string
	Offset    Pos
	Got, Most uint16
}

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("segment: %s at %d: format version %d, this build reads up to %d: use the newer release",
		e.Path, e.Offset, e.Got, e.Most)
}

// Unwrap makes errors.Is(err, ErrNewerVersion) true.
func (e *VersionError) Unwrap() error { return ErrNewerVersion }
