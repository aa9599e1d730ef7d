package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"chronik/internal/repeats"
	"chronik/raftstore/transport/wire"
)

// errNoAnswer is a hello that was not answered in time.
var errNoAnswer = fmt.Errorf("no answer within %v: the peer hangs, or this is not a Chronik raft port: %w", openTimeout, context.DeadlineExceeded)

// headMax is how much of what came is looked at.
const headMax = 16

// tlsAlert is a fatal alert about the version: it tells whoever does not speak
// TLS that this node does.
var tlsAlert = []byte{0x15, 3, 1, 0, 2, 2, 70}

// named adds to an error in the place of a hello what has come instead.
func named(err error, head []byte) error {
	if what := wire.Foreign(head); what != "" {
		return fmt.Errorf("%s: %w", what, err)
	}
	return err
}

// answerError says what an error in the place of the answer to a hello means.
func answerError(err error, head []byte) error {
	switch {
	case wire.Foreign(head) != "":
		return named(err, head)
	case len(head) > 0:
		return fmt.Errorf("not a Chronik raft port: %w", err)
	case gone(err):
		return fmt.Errorf("closed instead of an answer: the peer stops, or speaks TLS, or this is not a Chronik raft port: %w", err)
	}
	return err
}

// tlsError says what an error of a TLS handshake means.
func tlsError(err error) error {
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &plain) && wire.Foreign(plain.RecordHeader[:]) != "":
		return named(err, plain.RecordHeader[:])
	case errors.As(err, &plain):
		return fmt.Errorf("this node speaks TLS, the peer does not: %w", err)
	case gone(err):
		return fmt.Errorf("closed during the TLS handshake: the peer may not speak TLS, or this is not a Chronik raft port: %w", err)
	}
	return fmt.Errorf("TLS: %w", err)
}

// say logs what goes wrong with a peer: each reason once, and then once a minute.
func (t *Transport) say(level slog.Level, msg, about string, err error, args ...any) {
	times, now := t.said.Say(msg+" "+about, repeats.Reason(err))
	if !now {
		return
	}
	if times > 1 {
		args = append(args, "times", times)
	}
	t.opt.Logger.Log(t.ctx, level, msg, append(args, "err", err)...)
}

// host is the address without the port, which is another one each time.
func host(a net.Addr) string {
	if h, _, err := net.SplitHostPort(a.String()); err == nil {
		return h
	}
	return a.String()
}
