package main

import (
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"chronik/internal/clock"
)

// A signal that comes again, as by timeout(1), which sends each twice, does not
// abort a stop; Ctrl-C twice does.
func TestSignals(t *testing.T) {
	const soon, late = time.Millisecond, twiceWithin
	type at struct {
		after  time.Duration
		signal os.Signal
	}
	for _, c := range []struct {
		name   string
		got    []at
		aborts int
	}{
		{"SIGTERM twice", []at{{0, syscall.SIGTERM}, {soon, syscall.SIGTERM}, {late, syscall.SIGTERM}}, 0},
		{"SIGHUP and SIGTERM", []at{{0, syscall.SIGHUP}, {late, syscall.SIGTERM}}, 0},
		{"one SIGINT", []at{{0, syscall.SIGTERM}, {late, syscall.SIGINT}}, 0},
		{"SIGINT twice by one act", []at{{0, syscall.SIGINT}, {soon, syscall.SIGINT}}, 0},
		{"Ctrl-C twice", []at{{0, syscall.SIGINT}, {late, syscall.SIGINT}}, 1},
		{"Ctrl-C twice after SIGTERM", []at{{0, syscall.SIGTERM}, {soon, syscall.SIGINT}, {late, syscall.SIGINT}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			stops, aborts, now := 0, 0, clock.NewManual(time.Unix(1000, 0))
			w := signalWatch{clock: now, logger: slog.New(slog.DiscardHandler), stop: func() { stops++ }, abort: func() { aborts++ }}
			for _, s := range c.got {
				now.Advance(s.after)
				w.got(s.signal)
			}
			if stops != 1 || aborts != c.aborts {
				t.Errorf("%d stops, %d aborts; want 1 and %d", stops, aborts, c.aborts)
			}
		})
	}
}
