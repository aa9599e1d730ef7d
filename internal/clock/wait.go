package clock

import (
	"context"
	"time"
)

// Sleep waits for d, and reports false when the context ended first.
func Sleep(ctx context.Context, c Clock, d time.Duration) bool {
	over := make(chan struct{})
	t := c.AfterFunc(d, func() { close(over) })
	defer t.Stop()
	select {
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}

// WithTimeout is context.WithTimeout on the given clock; the context's error
// is context.Canceled either way.
func WithTimeout(ctx context.Context, c Clock, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	t := c.AfterFunc(d, cancel)
	return ctx, func() {
		t.Stop()
		cancel()
	}
}
