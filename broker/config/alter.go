package config

import (
	"maps"
	"slices"
	"strings"
)

// OpKind is an operation of IncrementalAlterConfigs, numbered as there (CF5).
type OpKind int8

const (
	Set      OpKind = 0
	Delete   OpKind = 1
	Append   OpKind = 2 // to a list, what it does not have yet
	Subtract OpKind = 3 // from a list
)

// Op is one change of one setting. A Set of Null is refused, except by ReplaceX,
// where it is too.
type Op struct {
	Name  string
	Kind  OpKind
	Value string
	Null  bool
}

// AlterTopic applies ops to a topic's overrides, all or none, and returns the
// new overrides; the old ones are not changed.
func AlterTopic(overrides map[string]string, ops []Op, b *BrokerConfig) (map[string]string, error) {
	next, err := alter(topicTable, overrides, ops, false)
	if err != nil {
		return nil, err
	}
	if _, err := ResolveTopic(next, b); err != nil {
		return nil, err
	}
	return next, nil
}

// ReplaceTopic makes the values the whole set of a topic's overrides (CF6):
// what a Set op does, from nothing. Also for the overrides of a new topic.
func ReplaceTopic(values []Op, b *BrokerConfig) (map[string]string, error) {
	return AlterTopic(nil, values, b)
}

// AlterBroker applies ops to the dynamic settings of one broker, or with
// ClusterDefault of all, in layers; all or none.
func AlterBroker(l Layers, target Source, ops []Op) (map[string]string, error) {
	return alterBroker(l, target, ops, false)
}

// ReplaceBroker makes the values the whole set of those dynamic settings.
func ReplaceBroker(l Layers, target Source, values []Op) (map[string]string, error) {
	return alterBroker(l, target, values, true)
}

func alterBroker(l Layers, target Source, ops []Op, replace bool) (map[string]string, error) {
	layer := &l.Broker
	if target == FromClusterDefault {
		layer = &l.ClusterDefault
	}
	current := *layer
	if replace {
		current = nil
	}
	next, err := alter(brokerTable, current, ops, true)
	if err != nil {
		return nil, err
	}
	*layer = next
	if _, err := ResolveBroker(l); err != nil {
		return nil, err
	}
	return next, nil
}

func alter(t *table, current map[string]string, ops []Op, dynamicOnly bool) (map[string]string, error) {
	next := map[string]string{}
	maps.Copy(next, current)
	seen := map[string]bool{}
	for _, op := range ops {
		if seen[op.Name] {
			return nil, invalidRequest(op.Name, "%s is changed twice", op.Name)
		}
		seen[op.Name] = true
		if err := alterOne(t, next, op, dynamicOnly); err != nil {
			return nil, err
		}
	}
	return next, nil
}

func alterOne(t *table, next map[string]string, op Op, dynamicOnly bool) error {
	if op.Kind < Set || op.Kind > Subtract {
		return invalidRequest(op.Name, "%s: operation %d does not exist", op.Name, op.Kind)
	}
	if op.Null && op.Kind != Delete {
		return invalidRequest(op.Name, "%s: the value is null", op.Name)
	}
	s, err := t.find(op.Name)
	if err != nil {
		return err
	}
	if dynamicOnly && !s.Dynamic {
		return invalidRequest(op.Name, "Cannot update these configs dynamically: %s", op.Name)
	}
	value := strings.TrimSpace(op.Value)
	switch op.Kind {
	case Delete:
		delete(next, op.Name)
		return nil
	case Append, Subtract:
		if s.Type != List {
			return invalidConfig(op.Name, "%s is a %s: only lists can be appended to or subtracted from", op.Name, s.Type)
		}
		value = editList(s, next, op)
	}
	if err := s.Check(value); err != nil {
		return err
	}
	next[op.Name] = value
	return nil
}

// editList starts from the value that is set here, else from the default of
// the table, as Kafka does.
func editList(s *Setting, next map[string]string, op Op) string {
	from, ok := next[s.Name]
	if !ok {
		from = s.Default
	}
	list, change := parseList(from), parseList(op.Value)
	if op.Kind == Subtract {
		list = slices.DeleteFunc(list, func(e string) bool { return slices.Contains(change, e) })
	} else {
		for _, e := range change {
			if !slices.Contains(list, e) {
				list = append(list, e)
			}
		}
	}
	return strings.Join(list, ",")
}
