package broker

import (
	"context"
	"errors"
	"fmt"
)

// Serve answers what another node calls: the metadata's methods and the
// broker's own. It works from New on.
func (b *Broker) Serve(_ context.Context, from uint64, method uint8, _ []byte) ([]byte, error) {
	return nil, fmt.Errorf("method %d, called by node %d: %w", method, from, errors.ErrUnsupported)
}

// Drain has other nodes lead what this one leads, before it stops. It returns
// when they do, or when ctx ends.
func (b *Broker) Drain(context.Context) error {
	return nil // a node by itself
}

// ElectionType says which replica is to lead.
type ElectionType int8

// Kafka's types of elections.
const (
	ElectPreferred ElectionType = 0
	ElectUnclean   ElectionType = 1 // not built: a replica that lacks what was acknowledged never leads
)

// ElectLeaders has the preferred replica of each partition lead, of all when
// parts is nil. The errors are in the order of the partitions that are returned.
func (b *Broker) ElectLeaders(_ context.Context, parts []TopicPartition, t ElectionType) ([]TopicPartition, []error) {
	errs := make([]error, len(parts))
	for i := range errs {
		errs[i] = ErrElectionNotNeeded
		if t != ElectPreferred {
			errs[i] = fmt.Errorf("%w: unclean elections are never held", ErrInvalidRequest)
		}
	}
	return parts, errs
}

// TransferLeadership has the node to lead a partition, whichever node leads it now.
func (b *Broker) TransferLeadership(_ context.Context, tp TopicPartition, to int32) error {
	if l, ok := b.PartitionLeader(tp); ok && l.ID == to {
		return nil
	}
	return ErrPreferredLeaderNotAvailable
}
