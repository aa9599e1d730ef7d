package handler

import (
	"chronik/broker"
	"chronik/kafka/msg"
)

// AlterConfigs (key 33), versions 0 to 2. Replaces all overrides of a resource.

func (c *call) alterConfigs(req *msg.AlterConfigsRequest, resp *msg.AlterConfigsResponse) {
	changes := make([]broker.ConfigChange, len(req.Resources))
	for i, r := range req.Resources {
		changes[i] = broker.ConfigChange{Resource: broker.ConfigResource{Type: r.ResourceType, Name: r.ResourceName}, Replace: true}
		for _, v := range r.Configs {
			changes[i].Values = append(changes[i].Values, broker.ConfigValue{Name: v.Name, Value: v.Value.String, Null: !v.Value.Valid})
		}
	}
	for i, err := range c.h.AlterConfigs(c.s.conn.Context(), changes, req.ValidateOnly) {
		resp.Responses = append(resp.Responses, msg.AlterConfigsResourceResponse{
			ErrorCode: c.code(err), ErrorMessage: message(err),
			ResourceType: req.Resources[i].ResourceType, ResourceName: req.Resources[i].ResourceName,
		})
	}
}
