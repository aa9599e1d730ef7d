package cluster

import (
	"encoding/base64"
	"math/rand/v2"
)

// NewID is a random (version 4) UUID.
func NewID(r *rand.Rand) (id [16]byte) {
	for i := range id {
		id[i] = byte(r.Uint32())
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// EncodeID is Kafka's text form of an id: 22 characters of base64url.
func EncodeID(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
