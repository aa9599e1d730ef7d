package wire

import (
	"encoding/binary"
	"fmt"
	"time"
)

// A call is
//
//	0   u64  id      to be repeated in the answer
//	8   u8   method
//	9   u32  milliseconds that the caller waits; 0: without end
//	13       body
//
// and its answer
//
//	0   u64  id
//	8   u8   outcome
//	9        body, or the words of an error
const (
	CallLen   = 13
	AnswerLen = 9
)

// Outcome is what became of a call.
type Outcome uint8

// The outcomes.
const (
	Served     Outcome = 0
	Failed     Outcome = 1 // with words
	Overloaded Outcome = 2 // not served
)

// Call is the body of a call frame.
type Call struct {
	ID     uint64
	Method uint8
	Wait   time.Duration // 0: without end
	Body   []byte
}

// AppendCall appends a frame.
func AppendCall(b []byte, c Call) []byte {
	head := binary.LittleEndian.AppendUint64(make([]byte, 0, CallLen), c.ID)
	ms := uint32(0)
	if c.Wait > 0 {
		ms = uint32(min(max(c.Wait.Milliseconds(), 1), 1<<32-1))
	}
	return AppendFrame(b, FrameCall, binary.LittleEndian.AppendUint32(append(head, c.Method), ms), c.Body)
}

// ParseCall reads the body of a call frame, whose end is the call's body.
func ParseCall(b []byte) (Call, error) {
	if len(b) < CallLen {
		return Call{}, fmt.Errorf("%w: call of %d bytes", ErrBadFrame, len(b))
	}
	wait := time.Duration(binary.LittleEndian.Uint32(b[9:])) * time.Millisecond
	return Call{ID: binary.LittleEndian.Uint64(b), Method: b[8], Wait: wait, Body: b[CallLen:]}, nil
}

// Answer is the body of an answer frame.
type Answer struct {
	ID      uint64
	Outcome Outcome
	Body    []byte
}

// AppendAnswer appends a frame.
func AppendAnswer(b []byte, a Answer) []byte {
	head := append(binary.LittleEndian.AppendUint64(make([]byte, 0, AnswerLen), a.ID), byte(a.Outcome))
	return AppendFrame(b, FrameAnswer, head, a.Body)
}

// ParseAnswer reads the body of an answer frame, whose end is the answer's body.
func ParseAnswer(b []byte) (Answer, error) {
	if len(b) < AnswerLen {
		return Answer{}, fmt.Errorf("%w: answer of %d bytes", ErrBadFrame, len(b))
	}
	return Answer{ID: binary.LittleEndian.Uint64(b), Outcome: Outcome(b[8]), Body: b[AnswerLen:]}, nil
}
