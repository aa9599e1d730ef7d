package handler

import (
	"context"

	"chronik/broker"
	"chronik/broker/config"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// DescribeConfigs (key 32), versions 0 to 4.

type configAdmin interface {
	DescribeConfigs(resources []broker.ConfigResource, keys [][]string) []broker.DescribedConfig
	AlterConfigs(ctx context.Context, changes []broker.ConfigChange, validateOnly bool) []error
}

func (c *call) describeConfigs(req *msg.DescribeConfigsRequest, resp *msg.DescribeConfigsResponse) {
	resources := make([]broker.ConfigResource, len(req.Resources))
	keys := make([][]string, len(req.Resources))
	for i, r := range req.Resources {
		resources[i] = broker.ConfigResource{Type: r.ResourceType, Name: r.ResourceName}
		keys[i] = r.ConfigurationKeys
	}
	for _, d := range c.h.DescribeConfigs(resources, keys) {
		out := msg.DescribeConfigsResult{
			ErrorCode: c.code(d.Err), ErrorMessage: message(d.Err), ResourceType: d.Resource.Type, ResourceName: d.Resource.Name,
		}
		for i := range d.Entries {
			out.Configs = append(out.Configs, c.describedConfig(&d.Entries[i], req))
		}
		resp.Results = append(resp.Results, out)
	}
}

// describedConfig is CF3.
func (c *call) describedConfig(e *config.Entry, req *msg.DescribeConfigsRequest) msg.DescribeConfigsResourceResult {
	out := msg.DescribeConfigsResourceResult{
		Name: e.Name, Value: configValue(e.Value), ReadOnly: e.ReadOnly, IsSensitive: e.Sensitive,
	}
	if c.version == 0 {
		out.IsDefault = e.Source == config.FromDefault
		out.ConfigSource = -1
		return out
	}
	out.ConfigSource = int8(e.Source)
	if req.IncludeSynonyms {
		for _, s := range e.Synonyms {
			out.Synonyms = append(out.Synonyms, msg.DescribeConfigsSynonym{Name: s.Name, Value: configValue(s), Source: int8(s.Source)})
		}
	}
	if c.version >= 3 {
		out.ConfigType = int8(e.Type)
		if req.IncludeDocumentation {
			out.Documentation = wire.Str(e.Doc)
		}
	}
	return out
}

// configValue is null when the value is secret or there is none.
func configValue(v config.Value) wire.NullString {
	return wire.NullString{String: v.Value, Valid: !v.Null}
}
