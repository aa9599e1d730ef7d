package replica

import (
	"context"
	"time"

	"chronik/broker/cluster"
	"chronik/internal/clock"
)

const (
	publishPause = 20 * time.Millisecond  // between two publications: what happens meanwhile goes together
	publishRetry = 200 * time.Millisecond // after one that failed
	publishMax   = 5 * time.Second        // then it is made anew, of what is true by then
	// publishItemsMax bounds a command.
	publishItemsMax = 5000
)

// publishLoop tells the metadata what has changed.
func (t *Tracker) publishLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.news:
		}
		pause := publishPause
		if items := t.take(); len(items) > 0 {
			if err := t.publish(ctx, items); err != nil && ctx.Err() == nil {
				t.putBack(items)
				t.opt.Logger.Warn("leadership is not published yet", "partitions", len(items), "err", err)
				pause = publishRetry
			}
		}
		if !clock.Sleep(ctx, t.opt.Clock, pause) {
			return
		}
	}
}

func (t *Tracker) publish(ctx context.Context, items []cluster.Leadership) error {
	ctx, cancel := clock.WithTimeout(ctx, t.opt.Clock, publishMax)
	defer cancel()
	return t.opt.Publish(ctx, items)
}

// take takes what is to be published.
func (t *Tracker) take() (items []cluster.Leadership) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for group := range t.dirty {
		if len(items) == publishItemsMax {
			poke(t.news)
			break
		}
		delete(t.dirty, group)
		if l := t.led[group]; l != nil && l.isr != nil {
			items = append(items, cluster.Leadership{Group: group, Leader: t.opt.NodeID, Epoch: l.epoch, ISR: l.shown})
		}
	}
	return items
}

func (t *Tracker) putBack(items []cluster.Leadership) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range items {
		t.dirty[l.Group] = true
	}
	poke(t.news)
}
