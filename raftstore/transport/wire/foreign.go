package wire

import (
	"bytes"
	"encoding/binary"
)

// Foreign says what has come instead of a hello; "" if that is not known.
func Foreign(head []byte) string {
	begins := func(words ...string) bool {
		for _, w := range words {
			if bytes.HasPrefix(head, []byte(w)) {
				return true
			}
		}
		return false
	}
	switch {
	case begins("\x16\x03", "\x15\x03"): // a handshake or an alert
		return "the peer speaks TLS, this node does not"
	case begins("HTTP/"):
		return "an HTTP server answers, as on a metrics port: not a Chronik raft port"
	case begins("GET ", "POST ", "HEAD ", "PUT ", "OPTIONS ", "DELETE ", "CONNECT ", "PRI * HTTP"):
		return "the peer speaks HTTP: this is the raft port"
	case len(head) >= 8 && head[0] == 0 && head[4] == 0 && binary.BigEndian.Uint32(head) >= 8 && head[5] < 100 && head[6] == 0:
		return "the peer speaks Kafka's protocol: this is the raft port, which is not for clients"
	}
	return ""
}
