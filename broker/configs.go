package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"chronik/broker/cluster"
	"chronik/broker/config"
)

// layers are the sources of broker settings, from the metadata and the static
// ones of this node.
func (b *Broker) layers(s *cluster.State) config.Layers {
	return config.Layers{
		Broker:         s.Config(cluster.Resource{Type: cluster.ResourceBroker, Name: b.brokerName()}),
		ClusterDefault: s.Config(cluster.Resource{Type: cluster.ResourceBroker}),
		Static:         b.opt.Static,
	}
}

func (b *Broker) brokerName() string { return strconv.Itoa(int(b.opt.NodeID)) }

// refreshSettings resolves the broker's settings anew.
func (b *Broker) refreshSettings(s *cluster.State) error {
	conf, err := config.ResolveBroker(b.layers(s))
	if err != nil {
		return fmt.Errorf("broker settings: %w", err)
	}
	b.conf.Store(conf)
	return nil
}

// resolveTopic is the effective config of a topic. Overrides that are not
// valid, which were checked when they were set, are logged and left out.
func (b *Broker) resolveTopic(name string, overrides map[string]string) *config.TopicConfig {
	conf, err := config.ResolveTopic(overrides, b.conf.Load())
	if err == nil {
		return conf
	}
	b.opt.Logger.Error("topic config in the metadata is not valid; defaults are used", "topic", name, "err", err)
	conf, err = config.ResolveTopic(nil, b.conf.Load())
	if err != nil {
		panic(fmt.Sprintf("BUG: settings that were resolved do not resolve: %v", err))
	}
	return conf
}

// DescribeConfigs tells the effective configuration of resources (CF1 to
// CF4). keys limits each to the names given; nil or empty asks for all.
func (b *Broker) DescribeConfigs(resources []ConfigResource, keys [][]string) []DescribedConfig {
	out := make([]DescribedConfig, len(resources))
	for i, r := range resources {
		out[i].Resource = r
		out[i].Entries, out[i].Err = b.describeConfig(r)
		if len(keys[i]) > 0 {
			out[i].Entries = slices.DeleteFunc(out[i].Entries, func(e config.Entry) bool { return !slices.Contains(keys[i], e.Name) })
		}
	}
	return out
}

func (b *Broker) describeConfig(r ConfigResource) ([]config.Entry, error) {
	switch r.Type {
	case cluster.ResourceTopic:
		if err := fromBelow(cluster.CheckTopicName(r.Name)); err != nil {
			return nil, err
		}
		overrides, err := b.topicOverrides(r.Name)
		if err != nil {
			return nil, err
		}
		return config.DescribeTopic(overrides, b.conf.Load()), nil
	case cluster.ResourceBroker:
		if r.Name == "" {
			return config.DescribeClusterDefaults(b.conf.Load()), nil
		}
		if err := b.checkBrokerName(r.Name); err != nil {
			return nil, err
		}
		return config.DescribeBroker(b.conf.Load()), nil
	}
	return nil, fmt.Errorf("%w: resource type %d has no configuration here", ErrInvalidRequest, r.Type)
}

func (b *Broker) topicOverrides(name string) (overrides map[string]string, err error) {
	b.meta.View(func(s *cluster.State) {
		if s.Topic(name) == nil {
			err = ErrUnknownTopicOrPartition
			return
		}
		overrides = maps.Clone(s.Config(cluster.Resource{Type: cluster.ResourceTopic, Name: name}))
	})
	return overrides, err
}

func (b *Broker) checkBrokerName(name string) error {
	if name != b.brokerName() {
		return fmt.Errorf("%w: unexpected broker id, expected %s but got %s", ErrInvalidRequest, b.brokerName(), name)
	}
	return nil
}

// AlterConfigs changes the overrides of resources (CF5, CF6, CF8), each all
// or nothing.
func (b *Broker) AlterConfigs(ctx context.Context, changes []ConfigChange, validateOnly bool) []error {
	out := make([]error, len(changes))
	seen := map[ConfigResource]int{}
	for _, c := range changes {
		seen[c.Resource]++
	}
	for i, c := range changes {
		if seen[c.Resource] > 1 {
			out[i] = fmt.Errorf("%w: resource is in the request twice", ErrInvalidRequest)
			continue
		}
		out[i] = b.alterConfig(ctx, c, validateOnly)
	}
	return out
}

func (b *Broker) alterConfig(ctx context.Context, c ConfigChange, validateOnly bool) error {
	b.alterMu.Lock() // a change starts from what the one before it left
	defer b.alterMu.Unlock()
	values, err := b.changedConfig(c)
	if err != nil || validateOnly {
		return err
	}
	_, version, err := b.propose(ctx, &cluster.SetConfig{Resource: cluster.Resource(c.Resource), Values: values})
	if err != nil {
		return err
	}
	return b.awaitVersion(ctx, version)
}

// changedConfig is the set of overrides that a change leads to.
func (b *Broker) changedConfig(c ConfigChange) (map[string]string, error) {
	ops := c.Ops
	for _, v := range c.Values {
		ops = append(ops, config.Op{Name: v.Name, Kind: config.Set, Value: v.Value, Null: v.Null})
	}
	switch c.Resource.Type {
	case cluster.ResourceTopic:
		overrides, err := b.topicOverrides(c.Resource.Name)
		if err != nil {
			return nil, err
		}
		if c.Replace {
			return config.ReplaceTopic(ops, b.conf.Load())
		}
		return config.AlterTopic(overrides, ops, b.conf.Load())
	case cluster.ResourceBroker:
		target := config.FromClusterDefault
		if c.Resource.Name != "" {
			if err := b.checkBrokerName(c.Resource.Name); err != nil {
				return nil, err
			}
			target = config.FromBroker
		}
		var layers config.Layers
		b.meta.View(func(s *cluster.State) { layers = b.layers(s) })
		if c.Replace {
			return config.ReplaceBroker(layers, target, ops)
		}
		return config.AlterBroker(layers, target, ops)
	}
	return nil, fmt.Errorf("%w: resource type %d has no configuration here", ErrInvalidRequest, c.Resource.Type)
}
