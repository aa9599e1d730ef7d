package client

import "chronik/kafka/msg"

// endpointBrokers asks DescribeCluster for brokers.
const endpointBrokers = 1

// Cluster is the cluster as the broker knows it, with every node that belongs
// to it: those that are down are fenced.
func (c *Conn) Cluster() (*msg.DescribeClusterResponse, error) {
	var answer msg.DescribeClusterResponse
	if err := c.Call(&msg.DescribeClusterRequest{EndpointType: endpointBrokers, IncludeFencedBrokers: true}, &answer, 2); err != nil {
		return nil, err
	}
	return &answer, CodeError(answer.ErrorCode, answer.ErrorMessage, "DescribeCluster")
}
