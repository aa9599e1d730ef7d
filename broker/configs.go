package broker

import (
	"context"
	"fmt"
	"slices"

	"chronik/broker/cluster"
	"chronik/broker/config"
	"chronik/broker/settings"
)

// settings is the configuration as the metadata in s has it.
func (b *Broker) settings(s *cluster.State) settings.View {
	return settings.View{State: s, NodeID: b.opt.NodeID, Static: b.opt.Static, Broker: b.conf.Load()}
}

// refreshSettings resolves the broker's settings anew.
func (b *Broker) refreshSettings(s *cluster.State) error {
	conf, err := config.ResolveBroker(b.settings(s).Layers())
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
// CF4). keys limits each to the names given; nil or empty asks for all, which
// is told once, however often it is asked for.
func (b *Broker) DescribeConfigs(resources []ConfigResource, keys [][]string) []DescribedConfig {
	out := make([]DescribedConfig, 0, len(resources))
	whole := map[ConfigResource]bool{}
	b.meta.View(func(s *cluster.State) {
		for i, r := range resources {
			if len(keys[i]) == 0 && whole[r] {
				continue
			}
			whole[r] = whole[r] || len(keys[i]) == 0
			entries, err := b.settings(s).Describe(cluster.Resource(r))
			if len(keys[i]) > 0 {
				entries = slices.DeleteFunc(entries, func(e config.Entry) bool { return !slices.Contains(keys[i], e.Name) })
			}
			out = append(out, DescribedConfig{Resource: r, Err: fromBelow(err), Entries: entries})
		}
	})
	return out
}

// AlterConfigs changes the overrides of resources (CF5, CF6, CF8), each all
// or nothing.
func (b *Broker) AlterConfigs(ctx context.Context, changes []ConfigChange, validateOnly bool) []error {
	out := make([]error, len(changes))
	seen := counts(changes, func(c ConfigChange) ConfigResource { return c.Resource })
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
	b.catchUp(ctx)
	ops := c.Ops
	for _, v := range c.Values {
		ops = append(ops, config.Op{Name: v.Name, Kind: config.Set, Value: v.Value, Null: v.Null})
	}
	var values map[string]string
	var err error
	b.meta.View(func(s *cluster.State) {
		values, err = b.settings(s).Change(cluster.Resource(c.Resource), ops, c.Replace)
	})
	if err != nil || validateOnly {
		return fromBelow(err)
	}
	_, version, err := b.propose(ctx, &cluster.SetConfig{Resource: cluster.Resource(c.Resource), Values: values})
	if err != nil {
		return err
	}
	return b.awaitVersion(ctx, version)
}
