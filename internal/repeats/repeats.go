package repeats

import (
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"chronik/internal/clock"
)

const (
	// again is the time until the same is said again.
	again = time.Minute
	// aboutMax bounds what is remembered, reasonsMax how many reasons of each.
	aboutMax   = 512
	reasonsMax = 16
)

// Log remembers what was said. Create one with New.
type Log struct {
	clock clock.Clock
	mu    sync.Mutex
	said  map[string]map[string]*said // by what it is about, by reason
}

type said struct {
	at     time.Time
	missed int // how often it was not said since
}

// New returns a Log that has said nothing.
func New(c clock.Clock) *Log { return &Log{clock: c, said: map[string]map[string]*said{}} }

// Say reports whether to log now that something is so again, and how often it
// was so since it was last logged, this time included.
func (l *Log) Say(about, reason string) (times int, now bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.clock.Now()
	reasons := l.said[about]
	if reasons == nil {
		if len(l.said) >= aboutMax && !l.shrink(t) {
			return 0, false
		}
		reasons = map[string]*said{}
		l.said[about] = reasons
	}
	s := reasons[reason]
	switch {
	case s == nil:
		if len(reasons) >= reasonsMax && !forget(reasons, t) {
			return 0, false
		}
		reasons[reason] = &said{at: t}
		return 1, true
	case t.Sub(s.at) < again:
		s.missed++
		return 0, false
	}
	times = s.missed + 1
	s.at, s.missed = t, 0
	return times, true
}

// Over forgets what was said about something that is no longer so.
func (l *Log) Over(about string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.said, about)
}

// shrink makes room by forgetting what was said too long ago to matter.
func (l *Log) shrink(t time.Time) bool {
	for about, reasons := range l.said {
		forget(reasons, t)
		if len(reasons) == 0 {
			delete(l.said, about)
		}
	}
	return len(l.said) < aboutMax
}

func forget(reasons map[string]*said, t time.Time) bool {
	for reason, s := range reasons {
		if t.Sub(s.at) >= again {
			delete(reasons, reason)
		}
	}
	return len(reasons) < reasonsMax
}

// Reason is the text of an error without the addresses of a connection, which
// differ each time.
func Reason(err error) string {
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return strings.Replace(text, op.Error(), op.Op+": "+op.Err.Error(), 1)
	}
	return text
}
