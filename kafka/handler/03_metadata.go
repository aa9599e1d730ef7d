package handler

import (
	"context"

	"chronik/broker"
	"chronik/kafka/handler/errcode"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// Metadata (key 3), versions 0 to 13. Topic ids in responses from 10, in
// requests from 12.

type describing interface {
	Metadata(ctx context.Context, r broker.MetadataRequest) []broker.TopicInfo
	ControllerID() int32
	ClusterID() string
	AllNodes() []broker.Node
	TopicName(id [16]byte) (string, bool)
}

// Operations a client may ask about, as bits of 1 << AclOperation. Without an
// authorizer all that the resource has are allowed (M11).
const (
	opRead            = 1 << 3
	opWrite           = 1 << 4
	opCreate          = 1 << 5
	opDelete          = 1 << 6
	opAlter           = 1 << 7
	opDescribe        = 1 << 8
	opClusterAction   = 1 << 9
	opDescribeConfigs = 1 << 10
	opAlterConfigs    = 1 << 11
	opIdempotentWrite = 1 << 12

	topicOperations   = opRead | opWrite | opCreate | opDelete | opAlter | opDescribe | opDescribeConfigs | opAlterConfigs
	groupOperations   = opRead | opDelete | opDescribe | opDescribeConfigs | opAlterConfigs
	clusterOperations = opCreate | opAlter | opDescribe | opClusterAction | opDescribeConfigs | opAlterConfigs | opIdempotentWrite
)

func (c *call) metadata(req *msg.MetadataRequest, resp *msg.MetadataResponse) {
	for _, n := range c.h.Nodes() {
		resp.Brokers = append(resp.Brokers, msg.MetadataResponseBroker{NodeId: n.ID, Host: n.Host, Port: n.Port, Rack: nullable(n.Rack)})
	}
	resp.ClusterId, resp.ControllerId = wire.Str(c.h.ClusterID()), c.h.ControllerID()
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	ask, ok := metadataRequest(req, c.version)
	if !ok {
		c.refuseMetadata(req, resp)
		return
	}
	for _, t := range c.h.Metadata(c.s.conn.Context(), ask) {
		unknownID := errcode.Of(t.Err) == kerr.UnknownTopicID
		out := msg.MetadataResponseTopic{
			ErrorCode: c.code(t.Err), Name: wire.NullString{String: t.Name, Valid: !unknownID},
			IsInternal: t.Internal, TopicAuthorizedOperations: -1 << 31,
		}
		if t.Err == nil || unknownID {
			out.TopicId = t.ID // of an unknown one: the request's
		}
		if req.IncludeTopicAuthorizedOperations && t.Err == nil {
			out.TopicAuthorizedOperations = topicOperations
		}
		for _, p := range t.Partitions {
			out.Partitions = append(out.Partitions, msg.MetadataResponsePartition{
				ErrorCode: c.code(p.Err), PartitionIndex: p.Partition, LeaderId: p.Leader.ID, LeaderEpoch: p.Leader.Epoch,
				ReplicaNodes: p.Replicas, IsrNodes: p.ISR, OfflineReplicas: p.Offline,
			})
		}
		resp.Topics = append(resp.Topics, out)
	}
}

// metadataRequest is what the broker is asked; false if the request is at odds
// with its version (M5).
func metadataRequest(req *msg.MetadataRequest, version int16) (broker.MetadataRequest, bool) {
	ask := broker.MetadataRequest{
		All:        req.Topics == nil || version == 0 && len(req.Topics) == 0, // M1
		AutoCreate: req.AllowAutoTopicCreation,
	}
	ids := false
	for _, t := range req.Topics {
		if version < 12 && (t.TopicId != wire.UUID{} || !t.Name.Valid) {
			return ask, false
		}
		ids = ids || t.TopicId != wire.UUID{}
	}
	for _, t := range req.Topics {
		switch {
		case t.TopicId != wire.UUID{}:
			ask.Topics = append(ask.Topics, broker.TopicRef{ID: t.TopicId, ByID: true})
		case !ids:
			ask.Topics = append(ask.Topics, broker.TopicRef{Name: t.Name.String})
		}
	}
	return ask, true
}

// refuseMetadata answers INVALID_REQUEST for every topic.
func (c *call) refuseMetadata(req *msg.MetadataRequest, resp *msg.MetadataResponse) {
	for _, t := range req.Topics {
		resp.Topics = append(resp.Topics, msg.MetadataResponseTopic{
			ErrorCode: c.code(broker.ErrInvalidRequest), Name: wire.Str(t.Name.String), TopicId: t.TopicId,
			TopicAuthorizedOperations: -1 << 31,
		})
	}
}
