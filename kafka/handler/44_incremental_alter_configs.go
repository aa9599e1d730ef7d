package handler

import (
	"chronik/broker"
	"chronik/broker/config"
	"chronik/kafka/msg"
)

// IncrementalAlterConfigs (key 44), versions 0 to 1.

func (c *call) incrementalAlterConfigs(req *msg.IncrementalAlterConfigsRequest, resp *msg.IncrementalAlterConfigsResponse) {
	changes := make([]broker.ConfigChange, len(req.Resources))
	for i, r := range req.Resources {
		changes[i].Resource = broker.ConfigResource{Type: r.ResourceType, Name: r.ResourceName}
		for _, v := range r.Configs {
			changes[i].Ops = append(changes[i].Ops, config.Op{
				Name: v.Name, Kind: config.OpKind(v.ConfigOperation), Value: v.Value.String, Null: !v.Value.Valid,
			})
		}
	}
	for i, err := range c.h.AlterConfigs(c.s.conn.Context(), changes, req.ValidateOnly) {
		resp.Responses = append(resp.Responses, msg.IncrementalAlterConfigsResponseAlterConfigsResourceResponse{
			ErrorCode: c.code(err), ErrorMessage: message(err),
			ResourceType: req.Resources[i].ResourceType, ResourceName: req.Resources[i].ResourceName,
		})
	}
}
