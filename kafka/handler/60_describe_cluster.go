package handler

import (
	"fmt"

	"chronik/broker"
	"chronik/kafka/msg"
)

// DescribeCluster (key 60), versions 0 to 2.

const (
	endpointBrokers     = 1
	endpointControllers = 2
)

func (c *call) describeCluster(req *msg.DescribeClusterRequest, resp *msg.DescribeClusterResponse) {
	if err := checkEndpointType(req.EndpointType); err != nil { // D1
		resp.ErrorCode, resp.ErrorMessage = c.code(err), message(err)
		return
	}
	resp.ClusterId, resp.ControllerId = c.h.ClusterID(), c.h.ControllerID()
	nodes := c.h.Nodes()
	if req.IncludeFencedBrokers { // KIP-1073
		nodes = c.h.AllNodes()
	}
	for _, n := range nodes {
		resp.Brokers = append(resp.Brokers, msg.DescribeClusterBroker{
			BrokerId: n.ID, Host: n.Host, Port: n.Port, Rack: nullable(n.Rack), IsFenced: n.Fenced,
		})
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
}

func checkEndpointType(t int8) error {
	switch t {
	case endpointBrokers:
		return nil
	case endpointControllers:
		return broker.ErrMismatchedEndpointType
	}
	return fmt.Errorf("%w: %d", broker.ErrUnsupportedEndpointType, t)
}
