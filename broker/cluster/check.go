package cluster

import (
	"errors"
	"fmt"
	"slices"

	"chronik/kafka/wire"
)

// ErrTooManyBrokers is one more broker than a cluster may have.
var ErrTooManyBrokers = errors.New("the cluster has as many brokers as it may have")

// ErrTooLarge is a command larger than can be sent to the leader.
var ErrTooLarge = errors.New("too large for the cluster's metadata")

// BrokersMax bounds the brokers of a cluster: of each there are a member of the
// metadata group, connections, and series of metrics.
const BrokersMax = 1000

// addrBytesMax bounds each text of a registration. All raft addresses of a
// cluster fit into the answer to a node that joins.
const addrBytesMax = 512

// Check refuses a command that no broker makes: names that are no topic's,
// replicas that cannot be. It is asked before a command goes to the log;
// Apply carries out what is in the log, whoever wrote it.
func Check(c Command) error {
	switch c := c.(type) {
	case *CreateTopic:
		if err := CheckTopicName(c.Name); err != nil {
			return err
		}
		if err := checkValues(c.Configs); err != nil {
			return err
		}
		return checkReplicas(c.Replicas)
	case *SetConfig:
		return checkValues(c.Values)
	case *AddPartitions:
		return checkReplicas(c.Replicas)
	case *RegisterBroker:
		if c.ID <= 0 {
			return fmt.Errorf("%w: %d", ErrBrokerID, c.ID)
		}
		if max(len(c.Host), len(c.Rack), len(c.RaftAddr)) > addrBytesMax {
			return fmt.Errorf("%w: broker %d: addresses and rack have at most %d bytes", ErrMalformed, c.ID, addrBytesMax)
		}
	}
	return nil
}

// checkValues refuses what cannot be encoded.
func checkValues(values map[string]string) error {
	for k, v := range values {
		if max(len(k), len(v)) > wire.StringBytesMax {
			return fmt.Errorf("%w: setting %.50q with a value of %d bytes, at most %d", ErrTooLarge, k, len(v), wire.StringBytesMax)
		}
	}
	return nil
}

func checkReplicas(replicas [][]int32) error {
	for i, ids := range replicas {
		if len(ids) == 0 || len(ids) > BrokersMax {
			return fmt.Errorf("%w: partition %d of those has %d replicas", ErrAssignment, i, len(ids))
		}
		for j, id := range ids {
			if id <= 0 || slices.Contains(ids[:j], id) {
				return fmt.Errorf("%w: partition %d of those: broker %d cannot be, or is named twice", ErrAssignment, i, id)
			}
		}
	}
	return nil
}

// CheckPeer is Check for a command of another broker's, which speaks for itself
// alone, and fences nobody. Known is false when it names brokers, itself among
// them, that are not registered, as far as this state goes.
func (s *State) CheckPeer(p Proposed) (known bool, err error) {
	self, replicas := p.Node, [][]int32(nil)
	switch c := p.Command.(type) {
	case *CreateTopic:
		replicas = c.Replicas
	case *AddPartitions:
		replicas = c.Replicas
	case *RegisterBroker:
		self = c.ID
	case *DrainBroker:
		self = c.ID
	case *SetLeadership:
		self = c.Node
	case *FenceBroker, *UnfenceBroker, *Image:
		self = -1 // made by the leader
	}
	if self != p.Node {
		return false, fmt.Errorf("%w: %T is not a command of node %d's", ErrMalformed, p.Command, p.Node)
	}
	if _, known = s.brokers[p.Node]; !known {
		return false, nil
	}
	if err := Check(p.Command); err != nil {
		return false, err
	}
	for _, ids := range replicas {
		for _, id := range ids {
			if _, ok := s.brokers[id]; !ok {
				known = false
			}
		}
	}
	return known, nil
}
