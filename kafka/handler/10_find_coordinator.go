package handler

import (
	"context"
	"fmt"

	"chronik/broker"
	"chronik/kafka/msg"
)

// FindCoordinator (key 10), versions 0 to 6. Several keys from 4.

type coordinating interface {
	FindCoordinator(ctx context.Context, keyType int8, key string) (broker.Node, error)
}

const keyTypeShare = 2

func (c *call) findCoordinator(req *msg.FindCoordinatorRequest, resp *msg.FindCoordinatorResponse) {
	if c.version < 4 {
		one := c.coordinator(req.KeyType, req.Key)
		resp.ErrorCode, resp.ErrorMessage = one.ErrorCode, one.ErrorMessage
		resp.NodeId, resp.Host, resp.Port = one.NodeId, one.Host, one.Port
		return
	}
	for _, key := range req.CoordinatorKeys {
		resp.Coordinators = append(resp.Coordinators, c.coordinator(req.KeyType, key))
	}
}

func (c *call) coordinator(keyType int8, key string) msg.Coordinator {
	var n broker.Node
	var err error
	if keyType == keyTypeShare && c.version < 6 { // C1
		err = fmt.Errorf("%w: key type %d in version %d", broker.ErrInvalidRequest, keyType, c.version)
	} else {
		n, err = c.h.FindCoordinator(c.s.conn.Context(), keyType, key)
	}
	if err != nil { // C3
		return msg.Coordinator{Key: key, NodeId: -1, Port: -1, ErrorCode: c.code(err), ErrorMessage: message(err)}
	}
	return msg.Coordinator{Key: key, NodeId: n.ID, Host: n.Host, Port: n.Port}
}
