package handler

import (
	"chronik/internal/metrics"
	"chronik/kafka/handler/groups"
	"chronik/kafka/handler/transactions"
	"chronik/kafka/msg"
)

// api is one row of the table: an API key, the versions that are served, and
// what serves it.
type api struct {
	key           int16
	min, max      int16
	advertisedMin int16
	needsAuth     bool
	serve         func(c *call) (wait func() error, release func(), err error)
	metrics       *metrics.API
}

// table lists what this broker serves, ascending by key.
func table() []api {
	return []api{
		// librdkafka enables compression only if Produce 0 is advertised
		// (KAFKA-18659); below 3 the connection is closed.
		{key: msg.KeyProduce, min: 3, max: 13, advertisedMin: 0, needsAuth: true, serve: serveProduce},
		{key: msg.KeyFetch, min: 4, max: 18, advertisedMin: 4, needsAuth: true, serve: serveFetch},
		row(msg.KeyListOffsets, 1, 11, plain((*call).listOffsets)),
		row(msg.KeyMetadata, 0, 13, plain((*call).metadata)),
		row(msg.KeyOffsetCommit, 2, 10, ofGroups((*groups.Call).OffsetCommit)),
		row(msg.KeyOffsetFetch, 1, 10, ofGroups((*groups.Call).OffsetFetch)),
		row(msg.KeyFindCoordinator, 0, 6, plain((*call).findCoordinator)),
		row(msg.KeyJoinGroup, 0, 9, ofGroups((*groups.Call).JoinGroup)),
		row(msg.KeyHeartbeat, 0, 4, ofGroups((*groups.Call).Heartbeat)),
		row(msg.KeyLeaveGroup, 0, 5, ofGroups((*groups.Call).LeaveGroup)),
		row(msg.KeySyncGroup, 0, 5, ofGroups((*groups.Call).SyncGroup)),
		row(msg.KeyDescribeGroups, 0, 6, ofGroups((*groups.Call).DescribeGroups)),
		row(msg.KeyListGroups, 0, 5, ofGroups((*groups.Call).ListGroups)),
		{key: msg.KeyApiVersions, min: 0, max: 4, advertisedMin: 0, serve: plain((*call).apiVersions)},
		row(msg.KeyCreateTopics, 0, 7, plain((*call).createTopics)),
		row(msg.KeyDeleteTopics, 0, 6, plain((*call).deleteTopics)),
		row(msg.KeyDeleteRecords, 0, 2, plain((*call).deleteRecords)),
		row(msg.KeyInitProducerId, 0, 5, ofTransactions((*transactions.Call).InitProducerID)),
		row(msg.KeyOffsetForLeaderEpoch, 2, 4, plain((*call).offsetForLeaderEpoch)),
		row(msg.KeyAddPartitionsToTxn, 0, 3, ofTransactions((*transactions.Call).AddPartitionsToTxn)),
		row(msg.KeyAddOffsetsToTxn, 0, 4, ofTransactions((*transactions.Call).AddOffsetsToTxn)),
		row(msg.KeyEndTxn, 0, 4, ofTransactions((*transactions.Call).EndTxn)),
		row(msg.KeyWriteTxnMarkers, 1, 2, plain((*call).writeTxnMarkers)),
		row(msg.KeyTxnOffsetCommit, 0, 4, ofTransactions((*transactions.Call).TxnOffsetCommit)),
		row(msg.KeyDescribeConfigs, 0, 4, plain((*call).describeConfigs)),
		row(msg.KeyAlterConfigs, 0, 2, plain((*call).alterConfigs)),
		row(msg.KeyDescribeLogDirs, 0, 5, plain((*call).describeLogDirs)),
		row(msg.KeyCreatePartitions, 0, 3, plain((*call).createPartitions)),
		row(msg.KeyDeleteGroups, 0, 2, ofGroups((*groups.Call).DeleteGroups)),
		row(msg.KeyElectLeaders, 0, 2, plain((*call).electLeaders)),
		row(msg.KeyIncrementalAlterConfigs, 0, 1, plain((*call).incrementalAlterConfigs)),
		row(msg.KeyOffsetDelete, 0, 0, ofGroups((*groups.Call).OffsetDelete)),
		row(msg.KeyDescribeCluster, 0, 2, plain((*call).describeCluster)),
		row(msg.KeyDescribeProducers, 0, 0, plain((*call).describeProducers)),
		row(msg.KeyDescribeTransactions, 0, 0, ofTransactions((*transactions.Call).DescribeTransactions)),
		row(msg.KeyListTransactions, 0, 2, ofTransactions((*transactions.Call).ListTransactions)),
		row(msg.KeyDescribeTopicPartitions, 0, 0, plain((*call).describeTopicPartitions)),
	}
}

// row is an API that advertises what it serves, to authenticated clients.
func row(key, lo, hi int16, serve func(c *call) (func() error, func(), error)) api {
	return api{key: key, min: lo, max: hi, advertisedMin: lo, needsAuth: true, serve: serve}
}

// request and response tie a message to the pointer that implements it.
type request[T any] interface {
	*T
	msg.Request
}

type response[T any] interface {
	*T
	msg.Response
}

// plain makes a handler of a function that fills a response. The response
// starts with the protocol's defaults.
func plain[Q, P any, PQ request[Q], PP response[P]](f func(c *call, req PQ, resp PP)) func(c *call) (func() error, func(), error) {
	return func(c *call) (func() error, func(), error) {
		req, resp := PQ(new(Q)), PP(new(P))
		if err := c.decode(req); err != nil {
			return nil, nil, err
		}
		resp.Default()
		f(c, req, resp)
		return nil, nil, c.reply(resp)
	}
}

// ofGroups is plain for the requests of package groups.
func ofGroups[Q, P any, PQ request[Q], PP response[P]](f func(c *groups.Call, req PQ, resp PP)) func(c *call) (func() error, func(), error) {
	return plain(func(c *call, req PQ, resp PP) {
		f(&groups.Call{
			Broker: c.h, Version: c.version, ClientID: c.header.ClientId.String, Host: c.s.conn.Host(),
			Context: c.s.conn.Context(), Poll: c.s.conn.PollContext(), Code: c.code, Operations: groupOperations,
		}, req, resp)
	})
}

// ofTransactions is plain for the requests of package transactions.
func ofTransactions[Q, P any, PQ request[Q], PP response[P]](f func(c *transactions.Call, req PQ, resp PP)) func(c *call) (func() error, func(), error) {
	return plain(func(c *call, req PQ, resp PP) {
		f(&transactions.Call{Broker: c.h, Version: c.version, Context: c.s.conn.Context(), Now: c.h.clock.Now, Code: c.code}, req, resp)
	})
}

// API is what the table says of one API.
type API struct {
	Key           int16
	Min, Max      int16 // the versions that are served
	AdvertisedMin int16 // the lowest that ApiVersions names; the highest is Max
}

// APIs is the table, ascending by key, for the documents.
func APIs() []API {
	var out []API
	for _, a := range table() {
		out = append(out, API{a.key, a.min, a.max, a.advertisedMin})
	}
	return out
}
