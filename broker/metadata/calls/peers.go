package calls

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chronik/internal/clock"
)

// Errors of members. They travel with their codes, but for ErrTimeout.
var (
	ErrNotLeader = errors.New("this node does not lead the metadata")
	ErrStorage   = errors.New("storage of the metadata has failed")
	ErrTimeout   = errors.New("metadata change was not committed in time")
)

// Peers reaches the other nodes (raftstore/transport).
type Peers interface {
	// Call asks a node and waits for the answer.
	Call(ctx context.Context, node uint64, method uint8, body []byte) ([]byte, error)
	// CallAddr asks whoever answers at addr, and tells who that was.
	CallAddr(ctx context.Context, addr string, method uint8, body []byte) (uint64, []byte, error)
	// SetPeer says where a node is, in order of preference. It must not block.
	SetPeer(id uint64, addrs ...string)
}

// Pause waits until turn is closed or sent to, or for d. ErrTimeout: ctx ended
// before.
func Pause(ctx context.Context, c clock.Clock, turn <-chan struct{}, d time.Duration) error {
	over := make(chan struct{})
	timer := c.AfterFunc(d, func() { close(over) })
	defer timer.Stop()
	select {
	case <-turn:
	case <-over:
	case <-ctx.Done():
		return TimedOut(ctx)
	}
	return nil
}

// TimedOut is ErrTimeout with why ctx has ended.
func TimedOut(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrTimeout, context.Cause(ctx))
}
