package kerr

import "strconv"

// Code is an error code as it stands in responses. It is an error; None is one too, so
// compare codes, do not compare with nil.
type Code int16

type entry struct {
	name    string
	retry   bool
	message string
}

const (
	retriable = true
	final     = false
)

func (c Code) entry() *entry {
	if i := int(c) + 1; i >= 0 && i < len(table) {
		return &table[i]
	}
	return nil
}

// Name is the protocol's name of the code, such as NOT_LEADER_OR_FOLLOWER. A number
// without meaning is UNKNOWN_CODE_ and the number.
func (c Code) Name() string {
	if e := c.entry(); e != nil {
		return e.name
	}
	return "UNKNOWN_CODE_" + strconv.Itoa(int(c))
}

// String is Name.
func (c Code) String() string { return c.Name() }

// Retriable reports whether the Java client tries the request again on this code.
func (c Code) Retriable() bool {
	e := c.entry()
	return e != nil && e.retry
}

// Message says in a few words what the code means; "" if the number has no meaning.
func (c Code) Message() string {
	if e := c.entry(); e != nil {
		return e.message
	}
	return ""
}

// Error is Name and Message.
func (c Code) Error() string {
	if e := c.entry(); e != nil {
		return e.name + ": " + e.message
	}
	return c.Name()
}
