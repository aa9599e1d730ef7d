package handler

import (
	"fmt"

	"chronik/broker"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// DeleteTopics (key 20), versions 0 to 6. Topics by name or id from 6.

func (c *call) deleteTopics(req *msg.DeleteTopicsRequest, resp *msg.DeleteTopicsResponse) {
	var refs []broker.TopicRef
	for _, name := range req.TopicNames {
		refs = append(refs, broker.TopicRef{Name: name})
	}
	for _, t := range req.Topics {
		byID := t.TopicId != wire.UUID{}
		if byID == t.Name.Valid { // A20
			err := fmt.Errorf("%w: a topic needs either a name or an id", broker.ErrInvalidRequest)
			resp.Responses = append(resp.Responses, msg.DeletableTopicResult{
				Name: t.Name, TopicId: t.TopicId, ErrorCode: c.code(err), ErrorMessage: message(err),
			})
			continue
		}
		refs = append(refs, broker.TopicRef{Name: t.Name.String, ID: t.TopicId, ByID: byID})
	}
	if len(refs) == 0 {
		return
	}
	for _, t := range c.h.DeleteTopics(c.s.conn.Context(), refs, milliseconds(req.TimeoutMs)) {
		resp.Responses = append(resp.Responses, msg.DeletableTopicResult{
			Name: wire.NullString{String: t.Name, Valid: t.Name != "" || c.version < 6}, TopicId: t.ID,
			ErrorCode: c.code(t.Err), ErrorMessage: message(t.Err),
		})
	}
}
