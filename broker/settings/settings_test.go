package settings

import (
	"errors"
	"maps"
	"testing"

	"chronik/broker/cluster"
	"chronik/broker/config"
)

func view(t *testing.T) View {
	t.Helper()
	s := cluster.New()
	if _, err := s.Apply(&cluster.CreateTopic{Name: "a", ID: cluster.TopicID{1}, Replicas: [][]int32{{1}}, Configs: map[string]string{"retention.ms": "5"}}); err != nil {
		t.Fatal(err)
	}
	v := View{State: s, NodeID: 1, Static: map[string]string{"message.max.bytes": "700"}}
	var err error
	if v.Broker, err = config.ResolveBroker(v.Layers()); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestResources(t *testing.T) {
	v := view(t)
	for r, want := range map[cluster.Resource]error{
		{Type: cluster.ResourceTopic, Name: "a"}:    nil,
		{Type: cluster.ResourceTopic, Name: "no"}:   cluster.ErrUnknownTopic,
		{Type: cluster.ResourceTopic, Name: "a/b"}:  cluster.ErrInvalidTopicName,
		{Type: cluster.ResourceBroker, Name: ""}:    nil,
		{Type: cluster.ResourceBroker, Name: "1"}:   nil,
		{Type: cluster.ResourceBroker, Name: "2"}:   ErrResource,
		{Type: cluster.ResourceBroker, Name: "one"}: ErrResource,
		{Type: cluster.ResourceGroup, Name: "g"}:    ErrResource,
	} {
		if _, err := v.Describe(r); !errors.Is(err, want) {
			t.Errorf("CF1 describe %+v: %v", r, err)
		}
		if _, err := v.Change(r, nil, false); !errors.Is(err, want) {
			t.Errorf("change %+v: %v", r, err)
		}
	}
}

func TestChange(t *testing.T) {
	v := view(t)
	topic := cluster.Resource{Type: cluster.ResourceTopic, Name: "a"}
	set := []config.Op{{Name: "segment.bytes", Kind: config.Set, Value: "1048576"}}
	got, err := v.Change(topic, set, false)
	if err != nil || !maps.Equal(got, map[string]string{"retention.ms": "5", "segment.bytes": "1048576"}) {
		t.Errorf("CF5: %v, %v", got, err)
	}
	got, err = v.Change(topic, set, true)
	if err != nil || !maps.Equal(got, map[string]string{"segment.bytes": "1048576"}) {
		t.Errorf("CF6: %v, %v", got, err)
	}
	if own := v.State.Config(topic); !maps.Equal(own, map[string]string{"retention.ms": "5"}) {
		t.Errorf("the metadata was changed in place: %v", own)
	}
	got, err = v.Change(cluster.Resource{Type: cluster.ResourceBroker}, []config.Op{{Name: "message.max.bytes", Kind: config.Set, Value: "800"}}, false)
	if err != nil || got["message.max.bytes"] != "800" {
		t.Errorf("cluster default: %v, %v", got, err)
	}
}

func TestDescribeTellsTheSource(t *testing.T) {
	v := view(t)
	entries, err := v.Describe(cluster.Resource{Type: cluster.ResourceTopic, Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]config.Source{"retention.ms": config.FromTopic, "max.message.bytes": config.FromStatic, "segment.ms": config.FromDefault}
	for _, e := range entries {
		if source, ok := want[e.Name]; ok && e.Source != source {
			t.Errorf("CF4 %s: source %d, want %d", e.Name, e.Source, source)
		}
		delete(want, e.Name)
	}
	if len(want) != 0 {
		t.Errorf("not described: %v", want)
	}
}
