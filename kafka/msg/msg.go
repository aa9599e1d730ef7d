package msg

import (
	"math"

	"chronik/kafka/wire"
)

//go:generate go run ./gen

// Message is what every generated root struct does.
type Message interface {
	// Decode reads the body of version v. See the package comment for memory and errors.
	Decode(r *wire.Reader, v int16)
	// Encode appends the body of version v.
	Encode(w *wire.Writer, v int16)
	// Default sets every field to the default of the protocol.
	Default()
}

// Request is a message with an API key, sent by a client.
type Request interface {
	Message
	APIKey() int16
}

// Response is a message with an API key, sent to a client.
type Response interface {
	Message
	APIKey() int16
}

// NeverFlexible is the FlexibleFrom of an API without flexible versions.
const NeverFlexible = math.MaxInt16

// API describes one API key: what this package can decode and encode, which is not
// necessarily what a server serves.
type API struct {
	Key          int16
	Name         string
	Min, Max     int16 // versions, inclusive
	FlexibleFrom int16 // first flexible version, or NeverFlexible
	NewRequest   func() Request
	NewResponse  func() Response
}

// byKey holds for each key its place in APIs plus one.
var byKey = func() (t [128]uint8) {
	for i, a := range APIs {
		t[a.Key] = uint8(i + 1)
	}
	return t
}()

// Lookup returns the API with the key, or nil.
func Lookup(key int16) *API {
	if key < 0 || int(key) >= len(byKey) || byKey[key] == 0 {
		return nil
	}
	return &APIs[byKey[key]-1]
}

// Flexible reports whether version v of the API is flexible.
func (a *API) Flexible(v int16) bool { return v >= a.FlexibleFrom }

// Has reports whether the API has version v.
func (a *API) Has(v int16) bool { return v >= a.Min && v <= a.Max }
