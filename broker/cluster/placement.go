package cluster

import (
	"errors"
	"fmt"
	"slices"
)

// Errors of names and placements.
var (
	ErrInvalidTopicName  = errors.New("topic name is not valid")
	ErrReplicationFactor = errors.New("replication factor cannot be had")
	ErrPartitionCount    = errors.New("partition count is too small")
	ErrTooManyPartitions = errors.New("too many new partitions in one request")
	ErrAssignment        = errors.New("replica assignment is not valid")
)

const topicNameBytesMax = 249

// CheckTopicName is G10.
func CheckTopicName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > topicNameBytesMax {
		return fmt.Errorf("%w: %q is empty, '.', '..' or longer than %d characters", ErrInvalidTopicName, name, topicNameBytesMax)
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("%w: %q has a character other than ASCII letters, digits, '.', '_' and '-'", ErrInvalidTopicName, name)
		}
	}
	return nil
}

// Assignment places one partition on brokers.
type Assignment struct {
	Partition int32
	Brokers   []int32
}

// Place decides which brokers hold each partition of a new topic (A2, A3), of
// which it may have most: by the assignments if there are any.
func (s *State) Place(count int32, factor int16, assignments []Assignment, most int) ([][]int32, error) {
	if n := max(int(count), len(assignments)); n > most {
		return nil, fmt.Errorf("%w: %d, %d are left", ErrTooManyPartitions, n, most)
	}
	if len(assignments) > 0 {
		return s.Assigned(assignments)
	}
	return s.Spread(count, factor, nil)
}

// Grow decides the same of the partitions that bring a topic to count (A10).
func (s *State) Grow(t *Topic, count int32, assignments [][]int32, most int) ([][]int32, error) {
	have, factor := len(t.Partitions), len(t.Partitions[0].Replicas)
	grow := int(count) - have
	switch {
	case grow <= 0:
		return nil, fmt.Errorf("%w: topic has %d partitions, %d asked for", ErrPartitionCount, have, count)
	case grow > most:
		return nil, fmt.Errorf("%w: %d, %d are left", ErrTooManyPartitions, grow, most)
	case assignments == nil:
		return s.Spread(int32(grow), int16(factor), t.Partitions)
	case len(assignments) != grow:
		return nil, fmt.Errorf("%w: %d for %d new partitions", ErrAssignment, len(assignments), grow)
	}
	for _, brokers := range assignments {
		if err := s.CheckReplicas(brokers, factor); err != nil {
			return nil, err
		}
	}
	return assignments, nil
}

// Assigned checks a manual assignment of a new topic (A2).
func (s *State) Assigned(assignments []Assignment) ([][]int32, error) {
	replicas := make([][]int32, len(assignments))
	for _, a := range assignments {
		if a.Partition < 0 || int(a.Partition) >= len(replicas) || replicas[a.Partition] != nil {
			return nil, fmt.Errorf("%w: partitions are not 0 to %d, each once", ErrAssignment, len(replicas)-1)
		}
		if err := s.CheckReplicas(a.Brokers, len(assignments[0].Brokers)); err != nil {
			return nil, err
		}
		replicas[a.Partition] = slices.Clone(a.Brokers)
	}
	return replicas, nil
}

// CheckReplicas checks one partition's replicas: count known brokers, each
// once, and a majority of them live.
func (s *State) CheckReplicas(brokers []int32, count int) error {
	if len(brokers) == 0 || len(brokers) != count {
		return fmt.Errorf("%w: %d replicas, expected %d", ErrAssignment, len(brokers), count)
	}
	for i, id := range brokers {
		if _, known := s.brokers[id]; !known || slices.Contains(brokers[:i], id) {
			return fmt.Errorf("%w: broker %d is unknown or named twice", ErrAssignment, id)
		}
	}
	live := slices.DeleteFunc(slices.Clone(brokers), func(id int32) bool { return s.brokers[id].Absent() })
	if len(live) < majority(count) {
		return fmt.Errorf("%w: %d of %d replicas must be live to elect a leader; %s", ErrAssignment, majority(count), count, s.absence(brokers))
	}
	return nil
}

func majority(of int) int { return of/2 + 1 }

// absence says which of the brokers are not there, or not for long.
func (s *State) absence(of []int32) string {
	var down, leaving []int32
	for _, id := range of {
		switch b := s.brokers[id]; {
		case b.Fenced:
			down = append(down, id)
		case b.Draining:
			leaving = append(leaving, id)
		}
	}
	text := fmt.Sprintf("brokers that are down: %v", down)
	if len(leaving) > 0 {
		text += fmt.Sprintf(", about to leave: %v", leaving)
	}
	return text
}
