package config

import (
	"maps"
	"slices"
)

// Source says which layer a value comes from, numbered as in DescribeConfigs (CF3).
type Source int8

const (
	FromTopic          Source = 1 // override of the topic
	FromBroker         Source = 2 // dynamic, of this broker
	FromClusterDefault Source = 3 // dynamic, of all brokers
	FromStatic         Source = 4 // command line, environment or file
	FromDefault        Source = 5 // the table
)

// Layers are the broker settings that were set, by where. The maps are not
// changed here and must not be while they are in use.
type Layers struct {
	Broker         map[string]string // dynamic, of this broker
	ClusterDefault map[string]string // dynamic, of all brokers
	Static         map[string]string // command line, environment and file, with what the node adds (node.id, listeners, log.dirs...)
}

// Value is a setting's value and where it was found.
type Value struct {
	Name   string // of the setting that was set: the one asked for, or a synonym
	Value  string // as it was set, in that setting's unit
	Null   bool
	Source Source
}

// brokerLayers calls yield for every layer of broker settings, highest first.
func (l *Layers) each(yield func(Source, func(name string) (string, bool)) bool) {
	in := func(m map[string]string) func(string) (string, bool) {
		return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
	}
	_ = yield(FromBroker, in(l.Broker)) &&
		yield(FromClusterDefault, in(l.ClusterDefault)) &&
		yield(FromStatic, in(l.Static)) &&
		yield(FromDefault, func(name string) (string, bool) {
			s := brokerTable.byName[name]
			return s.Default, !s.NoDefault
		})
}

// lookup finds a value through names, in order within each layer (CF4).
func (l *Layers) lookup(names []Synonym) (value string, all []Value) {
	for source, get := range l.each {
		for _, n := range names {
			if v, ok := get(n.Name); ok {
				if len(all) == 0 {
					value = n.convert(v)
				}
				all = append(all, Value{Name: n.Name, Value: v, Source: source})
			}
		}
	}
	return value, all
}

// broker is the value of a broker setting and everything it could come from.
func (l *Layers) broker(s *Setting) (string, []Value) {
	return l.lookup(append([]Synonym{{s.Name, 1}}, s.Synonyms...))
}

// topic is the value of a topic setting and everything it could come from,
// in the order of precedence.
func (l *Layers) topic(s *Setting, overrides map[string]string) (value string, all []Value) {
	value, all = l.lookup(s.Synonyms)
	if len(s.Synonyms) == 0 {
		value, all = s.Default, []Value{{Name: s.Name, Value: s.Default, Source: FromDefault}}
	}
	if v, ok := overrides[s.Name]; ok {
		return v, append([]Value{{Name: s.Name, Value: v, Source: FromTopic}}, all...)
	}
	return value, all
}

// checkAll checks names and values against a table.
func (t *table) checkAll(values map[string]string) error {
	for _, name := range sortedKeys(values) {
		s, err := t.find(name)
		if err == nil {
			err = s.Check(values[name])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckStatic checks broker settings that an operator gave (--set, [kafka]):
// names, with the nearest one in the error, values, and that none of them has
// a flag of its own.
func CheckStatic(values map[string]string) error {
	for _, name := range sortedKeys(values) {
		if why := needless[name]; why != "" {
			return invalidConfig(name, "%s", why)
		}
		if s, err := brokerTable.find(name); err != nil {
			return err
		} else if s.Flag != "" {
			return invalidConfig(name, "%s is set with %s", name, s.Flag)
		}
	}
	_, err := ResolveBroker(Layers{Static: values})
	return err
}

// needless are settings that Kafka needs for what is always so here.
var needless = map[string]string{
	"replica.selector.class": "leave it out: a consumer with client.rack always reads from a replica in its rack that is in sync, as with Kafka's RackAwareReplicaSelector; cluster.follower_read_policy = \"none\" turns that off",
}

// Inert lists those of the names that the broker accepts and reports but does
// not act on, so that an operator can be told. Sorted.
func Inert(values map[string]string) (names []string) {
	for _, name := range sortedKeys(values) {
		if s := brokerTable.byName[name]; s != nil && !s.Acts {
			names = append(names, name)
		}
	}
	return names
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
