package leaders

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"chronik/broker/cluster"
	"chronik/internal/clock"
)

// MethodTransfer asks the node that leads a partition to hand it over: topic
// id, partition, node (16, 4 and 4 bytes). The answer is empty.
const MethodTransfer uint8 = 64

const transferBytes = 16 + 4 + 4

// ErrMalformed is a call that cannot be read.
var ErrMalformed = errors.New("the call is malformed")

// ServeTransfer answers MethodTransfer.
func (l *Leaders) ServeTransfer(body []byte) error {
	if len(body) != transferBytes {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(body))
	}
	at := Partition{ID: cluster.TopicID(body), Index: int32(binary.BigEndian.Uint32(body[16:]))}
	return l.transferHere(at, int32(binary.BigEndian.Uint32(body[20:])))
}

// transferHere hands a partition that this node leads to another node.
func (l *Leaders) transferHere(at Partition, to int32) error {
	_, p, err := l.opt.Local.Lookup(at.Topic, at.ID, at.Topic == "", at.Index)
	if err != nil {
		return err
	}
	if leader, _ := p.Leader(); leader == uint64(to) {
		return nil
	}
	return p.TransferLeadership(uint64(to))
}

const (
	// transferPause is the time between two looks whether another node leads.
	transferPause = 20 * time.Millisecond
	// transferRetry is the time after which a hand-over has failed and is asked
	// for again.
	transferRetry = 2 * time.Second
)

// Transfer has the node to lead a partition, whichever node leads it now, and
// returns when it does, as far as this node knows.
func (l *Leaders) Transfer(ctx context.Context, at Partition, to int32) error {
	var id cluster.TopicID
	l.opt.View(func(s *cluster.State) {
		if t := at.in(s); t != nil {
			id = t.ID
		}
	})
	at = Partition{ID: id, Index: at.Index} // a recreated topic is another one
	var last error
	var asked time.Time
	for {
		leader, ok := l.Find(at)
		now := l.opt.Clock.Now()
		switch {
		case !ok:
			return ErrUnknown
		case leader.Node == to:
			return nil
		case leader.Node < 0:
			last = ErrNoLeader
		case now.Sub(asked) >= transferRetry:
			if last = l.ask(ctx, leader.Node, at, to); last == nil {
				asked = now
			}
		}
		if !clock.Sleep(ctx, l.opt.Clock, transferPause) {
			return errors.Join(fmt.Errorf("node %d does not lead yet: %w", to, context.Cause(ctx)), last)
		}
	}
}

func (l *Leaders) ask(ctx context.Context, leader int32, at Partition, to int32) error {
	if leader == l.opt.NodeID {
		return l.transferHere(at, to)
	}
	if l.opt.Peers == nil {
		return ErrNoLeader
	}
	body := binary.BigEndian.AppendUint32(at.ID[:], uint32(at.Index))
	_, err := l.opt.Peers.Call(ctx, uint64(leader), MethodTransfer, binary.BigEndian.AppendUint32(body, uint32(to)))
	return err
}

// electParallelMax is how many elections are held at a time.
const electParallelMax = 64

// Elect has the preferred replica of each partition lead. The errors are in
// the order of the partitions; nil: it leads now.
func (l *Leaders) Elect(ctx context.Context, parts []Partition) []error {
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	slots := make(chan struct{}, electParallelMax)
	for i, at := range parts {
		preferred, err := l.electable(at)
		if errs[i] = err; err != nil {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := l.Transfer(ctx, at, preferred); err != nil {
				errs[i] = fmt.Errorf("%w: %w", ErrNotAvailable, err)
			}
		})
	}
	wg.Wait()
	return errs
}

// electable is the preferred replica of a partition, if an election can help it
// to lead.
func (l *Leaders) electable(at Partition) (preferred int32, err error) {
	l.opt.View(func(s *cluster.State) {
		t := at.in(s)
		if t == nil {
			err = ErrUnknown
			return
		}
		preferred = t.Partitions[at.Index].Replicas[0]
		leader, _ := l.Of(s, t, at.Index)
		switch n, known := s.Broker(preferred); {
		case leader.Node == preferred:
			err = ErrNotNeeded
		case !known || n.Fenced || n.Draining:
			err = ErrNotAvailable
		}
	})
	return preferred, err
}

// All names every partition, sorted.
func (l *Leaders) All() (out []Partition) {
	l.opt.View(func(s *cluster.State) {
		for _, t := range s.Topics() {
			for i := range t.Partitions {
				out = append(out, Partition{t.Name, t.ID, int32(i)})
			}
		}
	})
	return out
}
