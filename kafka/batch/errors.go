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

func (k Kind) String() string {
	switch k {
	case CorruptMessage:
		return "corrupt message"
	case MessageTooLarge:
		return "message too large"
	case RecordListTooLarge:
		return "record list too large"
	case InvalidTimestamp:
		return "invalid timestamp"
	case UnsupportedCompression:
		return "unsupported compression"
	}
	return "invalid record"
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
