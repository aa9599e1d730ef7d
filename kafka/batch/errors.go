package batch

import "fmt"

// Kind says what is wrong with a batch. Its number is the Kafka error code
// that a producer is told, so that the table of codes stays in one place.
type Kind int16

const (
	CorruptMessage         Kind = 2  // the bytes are not what the producer meant to send
	MessageTooLarge        Kind = 10 // over max.message.bytes, or decompresses beyond the limit
	RecordListTooLarge     Kind = 18 // over segment.bytes
	InvalidTimestamp       Kind = 32 // outside the topic's timestamp bounds
	UnsupportedCompression Kind = 76 // zstd in a request version that predates it
	InvalidRecord          Kind = 87 // everything else a producer did wrong
)

var kindNames = map[Kind]string{
	CorruptMessage:         "corrupt message",
	MessageTooLarge:        "message too large",
	RecordListTooLarge:     "record list too large",
	InvalidTimestamp:       "invalid timestamp",
	UnsupportedCompression: "unsupported compression",
	InvalidRecord:          "invalid record",
}

func (k Kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return fmt.Sprintf("Kind(%d)", int16(k))
}

// Error is a refused batch. RecordErrors names the records at fault when the
// batch as a whole was readable (KIP-467); at most recordErrorsMax of them.
type Error struct {
	Kind         Kind
	Msg          string
	RecordErrors []RecordError
}

// RecordError is one record at fault.
type RecordError struct {
	Index int // position of the record in its batch, from 0
	Msg   string
}

func (e *Error) Error() string { return "batch: " + e.Kind.String() + ": " + e.Msg }

func errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// recordErrorsMax bounds what one hostile batch can make us write back: a
// compressed one may claim millions of bad records.
const recordErrorsMax = 1000
