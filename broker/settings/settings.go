package settings

import (
	"errors"
	"fmt"
	"maps"
	"strconv"

	"chronik/broker/cluster"
	"chronik/broker/config"
)

// ErrResource is a resource that has no configuration on this node: another
// broker's, or one of a type that is not built (CF1).
var ErrResource = errors.New("resource has no configuration here")

// View is what a node sees: the metadata, its own static settings, and what
// these come to.
type View struct {
	State  *cluster.State
	NodeID int32
	Static map[string]string
	Broker *config.BrokerConfig // resolved from Layers
}

// Layers are the sources of broker settings (CF4).
func (v View) Layers() config.Layers {
	return config.Layers{
		Broker:         v.State.Config(cluster.Resource{Type: cluster.ResourceBroker, Name: v.name()}),
		ClusterDefault: v.State.Config(cluster.Resource{Type: cluster.ResourceBroker}),
		Static:         v.Static,
	}
}

func (v View) name() string { return strconv.Itoa(int(v.NodeID)) }

// check refuses resources without configuration here.
func (v View) check(r cluster.Resource) error {
	switch r.Type {
	case cluster.ResourceTopic:
		if err := cluster.CheckTopicName(r.Name); err != nil {
			return err
		}
		if v.State.Topic(r.Name) == nil {
			return fmt.Errorf("%w: %s", cluster.ErrUnknownTopic, r.Name)
		}
		return nil
	case cluster.ResourceBroker:
		if r.Name != "" && r.Name != v.name() {
			return fmt.Errorf("%w: unexpected broker id, expected %s but got %s", ErrResource, v.name(), r.Name)
		}
		return nil
	}
	return fmt.Errorf("%w: resource type %d", ErrResource, r.Type)
}

// Describe tells the effective configuration of a resource (CF1 to CF4).
func (v View) Describe(r cluster.Resource) ([]config.Entry, error) {
	if err := v.check(r); err != nil {
		return nil, err
	}
	switch {
	case r.Type == cluster.ResourceTopic:
		return config.DescribeTopic(maps.Clone(v.State.Config(r)), v.Broker), nil
	case r.Name == "":
		return config.DescribeClusterDefaults(v.Broker), nil
	}
	return config.DescribeBroker(v.Broker), nil
}

// Change is the set of overrides that changing a resource leads to: by
// operations (CF5), or, with replace, starting from nothing (CF6).
func (v View) Change(r cluster.Resource, ops []config.Op, replace bool) (map[string]string, error) {
	if err := v.check(r); err != nil {
		return nil, err
	}
	if r.Type == cluster.ResourceTopic {
		if replace {
			return config.ReplaceTopic(ops, v.Broker)
		}
		return config.AlterTopic(v.State.Config(r), ops, v.Broker)
	}
	target := config.FromClusterDefault
	if r.Name != "" {
		target = config.FromBroker
	}
	if replace {
		return config.ReplaceBroker(v.Layers(), target, ops)
	}
	return config.AlterBroker(v.Layers(), target, ops)
}
