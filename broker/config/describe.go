package config

import "strings"

// Entry is one setting as DescribeConfigs tells it (CF3).
type Entry struct {
	Value
	Type      Type
	ReadOnly  bool
	Sensitive bool // Value is Null then, here and in Synonyms
	Doc       string
	Synonyms  []Value // all it could come from, the first being the one it does
}

// DescribeTopic gives every topic setting, sorted by name.
func DescribeTopic(overrides map[string]string, b *BrokerConfig) []Entry {
	entries := make([]Entry, 0, len(topicTable.rows))
	for i := range topicTable.rows {
		s := &topicTable.rows[i]
		value, all := b.layers.topic(s, overrides)
		entries = append(entries, entry(s, value, all, false))
	}
	return entries
}

// DescribeBroker gives every broker setting, sorted by name. A setting that is
// not set itself but through one in another unit has a null value, as in Kafka:
// log.retention.ms is null while log.retention.hours decides.
func DescribeBroker(b *BrokerConfig) []Entry {
	entries := make([]Entry, 0, len(brokerTable.rows))
	for i := range brokerTable.rows {
		s := &brokerTable.rows[i]
		value, all := b.layers.broker(s)
		e := entry(s, value, all, !s.Dynamic)
		if len(all) > 0 && all[0].Value != value && all[0].Name != s.Name {
			e.Value.Value, e.Null = "", true
		}
		entries = append(entries, e)
	}
	return entries
}

// DescribeClusterDefaults gives the dynamic defaults of all brokers that are
// set, sorted by name: what a broker resource without a name shows (CF1).
func DescribeClusterDefaults(b *BrokerConfig) []Entry {
	var entries []Entry
	for _, name := range sortedKeys(b.layers.ClusterDefault) {
		s, v := brokerTable.byName[name], b.layers.ClusterDefault[name]
		entries = append(entries, entry(s, v, []Value{{Name: name, Value: v, Source: FromClusterDefault}}, false))
	}
	return entries
}

func entry(s *Setting, value string, all []Value, readOnly bool) Entry {
	e := Entry{Value: Value{Name: s.Name, Value: strings.TrimSpace(value), Null: len(all) == 0, Source: FromDefault},
		Type: s.Type, ReadOnly: readOnly, Sensitive: s.Sensitive, Doc: s.Doc, Synonyms: all}
	if len(all) > 0 {
		e.Source = all[0].Source
	}
	if s.Sensitive {
		e.Value.Value, e.Null = "", true
		for i := range all {
			all[i].Value, all[i].Null = "", true
		}
	}
	return e
}
