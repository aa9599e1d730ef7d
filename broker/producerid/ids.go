package producerid

import (
	"context"
	"sync"
)

// Block is how many ids are reserved at a time.
const Block = 1000

// IDs hands out producer ids (T1).
type IDs struct {
	// Reserve has the cluster reserve count ids, and returns the first.
	Reserve func(ctx context.Context, count int32) (first int64, err error)

	mu        sync.Mutex
	next, end int64
}

// Next is an id that has not been handed out before.
func (p *IDs) Next(ctx context.Context) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == p.end {
		first, err := p.Reserve(ctx, Block)
		if err != nil {
			return -1, err
		}
		p.next, p.end = first, first+Block
	}
	p.next++
	return p.next - 1, nil
}
