package compat

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/IBM/sarama"
	kafka "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
)

// The actions of adminJob.Action, in the order in which the test runs them.
const (
	createTopic      = "create_topic"      // Topic, Partitions, Replicas, Configs
	listTopics       = "list_topics"       // -> Topics
	describeTopic    = "describe_topic"    // Topic -> Partitions
	createPartitions = "create_partitions" // Topic, Partitions
	alterConfigs     = "alter_configs"     // Topic, Configs
	describeConfigs  = "describe_configs"  // Topic -> Configs
	describeBroker   = "describe_broker"   // -> Configs
	listOffsets      = "list_offsets"      // Topic -> Offsets (the ends)
	deleteRecords    = "delete_records"    // Topic, Offset (of partition 0)
	describeLogDirs  = "describe_log_dirs" // -> Bytes
	listGroups       = "list_groups"       // -> Groups
	describeGroup    = "describe_group"    // Group -> State
	groupOffsets     = "group_offsets"     // Group, Topic -> Offsets
	alterOffsets     = "alter_offsets"     // Group, Topic, Offset (of partition 0)
	deleteGroup      = "delete_group"      // Group
	deleteTopic      = "delete_topic"      // Topic
)

func kadmCall(ctx context.Context, c *kadm.Client, job adminJob) (res adminResult, err error) {
	switch job.Action {
	case createTopic:
		_, err = c.CreateTopic(ctx, job.Partitions, job.Replicas, pointers(job.Configs), job.Topic)
	case listTopics:
		var ts kadm.TopicDetails
		ts, err = c.ListTopics(ctx)
		res.Topics = ts.Names()
	case describeTopic:
		var ts kadm.TopicDetails
		ts, err = c.ListTopics(ctx, job.Topic)
		res.Partitions = int32(len(ts[job.Topic].Partitions))
	case createPartitions:
		var rs kadm.CreatePartitionsResponses
		rs, err = c.UpdatePartitions(ctx, int(job.Partitions), job.Topic)
		err = errors.Join(err, rs.Error())
	case alterConfigs:
		var set []kadm.AlterConfig
		for name, v := range pointers(job.Configs) {
			set = append(set, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: v})
		}
		var rs kadm.AlterConfigsResponses
		if rs, err = c.AlterTopicConfigs(ctx, set, job.Topic); err == nil {
			_, err = rs.On(job.Topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
		}
	case describeConfigs, describeBroker:
		var rs kadm.ResourceConfigs
		if job.Action == describeBroker {
			rs, err = c.DescribeBrokerConfigs(ctx, 1)
		} else {
			rs, err = c.DescribeTopicConfigs(ctx, job.Topic)
		}
		res.Configs = map[string]string{}
		for _, r := range rs {
			err = errors.Join(err, r.Err)
			for _, cfg := range r.Configs {
				res.Configs[cfg.Key] = cfg.MaybeValue()
			}
		}
	default:
		return kadmData(ctx, c, job)
	}
	return res, err
}

func kadmData(ctx context.Context, c *kadm.Client, job adminJob) (res adminResult, err error) {
	switch job.Action {
	case listOffsets:
		var os kadm.ListedOffsets
		os, err = c.ListEndOffsets(ctx, job.Topic)
		err = errors.Join(err, os.Error())
		res.Offsets = map[string]int64{}
		os.Each(func(o kadm.ListedOffset) { res.Offsets[strconv.Itoa(int(o.Partition))] = o.Offset })
	case deleteRecords:
		var os kadm.Offsets
		os.AddOffset(job.Topic, 0, job.Offset, -1)
		var rs kadm.DeleteRecordsResponses
		rs, err = c.DeleteRecords(ctx, os)
		err = errors.Join(err, rs.Error())
	case describeLogDirs:
		var ds kadm.DescribedAllLogDirs
		ds, err = c.DescribeAllLogDirs(ctx, nil)
		ds.Each(func(d kadm.DescribedLogDir) { err = errors.Join(err, d.Err); res.Bytes += d.Size() })
	case listGroups:
		var gs kadm.ListedGroups
		gs, err = c.ListGroups(ctx)
		res.Groups = gs.Groups()
	case describeGroup:
		var gs kadm.DescribedGroups
		gs, err = c.DescribeGroups(ctx, job.Group)
		err = errors.Join(err, gs.Error())
		res.State = gs[job.Group].State
	case groupOffsets:
		var os kadm.OffsetResponses
		os, err = c.FetchOffsets(ctx, job.Group)
		err = errors.Join(err, os.Error())
		res.Offsets = map[string]int64{}
		os.Each(func(o kadm.OffsetResponse) { res.Offsets[strconv.Itoa(int(o.Partition))] = o.At })
	case alterOffsets:
		var os kadm.Offsets
		os.AddOffset(job.Topic, 0, job.Offset, -1)
		err = c.CommitAllOffsets(ctx, job.Group, os)
	case deleteGroup:
		_, err = c.DeleteGroup(ctx, job.Group)
	case deleteTopic:
		_, err = c.DeleteTopic(ctx, job.Topic)
	default:
		err = errors.ErrUnsupported
	}
	return res, err
}

func saramaCall(a sarama.ClusterAdmin, job adminJob) (res adminResult, err error) {
	switch job.Action {
	case createTopic:
		err = a.CreateTopic(job.Topic, &sarama.TopicDetail{NumPartitions: job.Partitions, ReplicationFactor: job.Replicas, ConfigEntries: pointers(job.Configs)}, false)
	case listTopics:
		var ts map[string]sarama.TopicDetail
		ts, err = a.ListTopics()
		for name := range ts {
			res.Topics = append(res.Topics, name)
		}
	case describeTopic:
		var ts []*sarama.TopicMetadata
		if ts, err = a.DescribeTopics([]string{job.Topic}); err == nil {
			if ts[0].Err != sarama.ErrNoError {
				return res, ts[0].Err
			}
			res.Partitions = int32(len(ts[0].Partitions))
		}
	case createPartitions:
		err = a.CreatePartitions(job.Topic, job.Partitions, nil, false)
	case alterConfigs:
		set := map[string]sarama.IncrementalAlterConfigsEntry{}
		for name, v := range pointers(job.Configs) {
			set[name] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: v}
		}
		err = a.IncrementalAlterConfig(sarama.TopicResource, job.Topic, set, false)
	case describeConfigs, describeBroker:
		resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: job.Topic}
		if job.Action == describeBroker {
			resource = sarama.ConfigResource{Type: sarama.BrokerResource, Name: "1"}
		}
		var es []sarama.ConfigEntry
		es, err = a.DescribeConfig(resource)
		res.Configs = map[string]string{}
		for _, e := range es {
			res.Configs[e.Name] = e.Value
		}
	default:
		return saramaData(a, job)
	}
	return res, err
}

func saramaData(a sarama.ClusterAdmin, job adminJob) (res adminResult, err error) {
	switch job.Action {
	case listOffsets:
		ask := map[string]map[int32]int64{job.Topic: {}}
		for p := range job.Partitions {
			ask[job.Topic][p] = sarama.OffsetNewest
		}
		var got map[string]map[int32]*sarama.OffsetResult
		got, err = a.ListOffsets(ask, nil)
		res.Offsets = map[string]int64{}
		for p, o := range got[job.Topic] {
			if o.Err != sarama.ErrNoError {
				return res, o.Err
			}
			res.Offsets[strconv.Itoa(int(p))] = o.Offset
		}
	case deleteRecords:
		err = a.DeleteRecords(job.Topic, map[int32]int64{0: job.Offset})
	case describeLogDirs:
		var ds map[int32][]sarama.DescribeLogDirsResponseDirMetadata
		ds, err = a.DescribeLogDirs([]int32{1})
		for _, dirs := range ds {
			for _, d := range dirs {
				for _, t := range d.Topics {
					for _, p := range t.Partitions {
						res.Bytes += p.Size
					}
				}
			}
		}
	case listGroups:
		var gs map[string]string
		gs, err = a.ListConsumerGroups()
		for g := range gs {
			res.Groups = append(res.Groups, g)
		}
	case describeGroup:
		var gs []*sarama.GroupDescription
		if gs, err = a.DescribeConsumerGroups([]string{job.Group}); err == nil {
			if gs[0].Err != sarama.ErrNoError {
				return res, gs[0].Err
			}
			res.State = gs[0].State
		}
	case groupOffsets:
		var r *sarama.OffsetFetchResponse
		if r, err = a.ListConsumerGroupOffsets(job.Group, nil); err == nil {
			res.Offsets = map[string]int64{}
			for p, b := range r.Blocks[job.Topic] {
				res.Offsets[strconv.Itoa(int(p))] = b.Offset
			}
		}
	case alterOffsets:
		_, err = a.AlterConsumerGroupOffsets(job.Group, map[string]map[int32]sarama.OffsetAndMetadata{
			job.Topic: {0: {Offset: job.Offset, LeaderEpoch: -1}},
		}, nil)
	case deleteGroup:
		err = a.DeleteConsumerGroup(job.Group)
	case deleteTopic:
		err = a.DeleteTopic(job.Topic)
	default:
		err = errors.ErrUnsupported
	}
	return res, err
}

func kafkaGoCall(ctx context.Context, c *kafka.Client, job adminJob) (res adminResult, err error) {
	switch job.Action {
	case createTopic:
		var cfg []kafka.ConfigEntry
		for name, v := range job.Configs {
			cfg = append(cfg, kafka.ConfigEntry{ConfigName: name, ConfigValue: v})
		}
		var r *kafka.CreateTopicsResponse
		if r, err = c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
			Topic: job.Topic, NumPartitions: int(job.Partitions), ReplicationFactor: int(job.Replicas), ConfigEntries: cfg,
		}}}); err == nil {
			err = r.Errors[job.Topic]
		}
	case listTopics, describeTopic:
		req := &kafka.MetadataRequest{}
		if job.Action == describeTopic {
			req.Topics = []string{job.Topic}
		}
		var r *kafka.MetadataResponse
		if r, err = c.Metadata(ctx, req); err == nil {
			for _, t := range r.Topics {
				err = errors.Join(err, t.Error)
				res.Topics = append(res.Topics, t.Name)
				res.Partitions = int32(len(t.Partitions))
			}
		}
	case createPartitions:
		var r *kafka.CreatePartitionsResponse
		if r, err = c.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{
			Name: job.Topic, Count: job.Partitions,
		}}}); err == nil {
			err = r.Errors[job.Topic]
		}
	case alterConfigs:
		var set []kafka.IncrementalAlterConfigsRequestConfig
		for name, v := range job.Configs {
			set = append(set, kafka.IncrementalAlterConfigsRequestConfig{Name: name, Value: v, ConfigOperation: kafka.ConfigOperationSet})
		}
		var r *kafka.IncrementalAlterConfigsResponse
		if r, err = c.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: job.Topic, Configs: set,
		}}}); err == nil {
			err = r.Resources[0].Error
		}
	default:
		return kafkaGoData(ctx, c, job)
	}
	return res, err
}

func kafkaGoData(ctx context.Context, c *kafka.Client, job adminJob) (res adminResult, err error) {
	switch job.Action {
	case describeConfigs, describeBroker:
		ask := kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: job.Topic}
		if job.Action == describeBroker {
			ask = kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeBroker, ResourceName: "1"}
		}
		var r *kafka.DescribeConfigsResponse
		if r, err = c.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{ask}}); err == nil {
			res.Configs = map[string]string{}
			err = r.Resources[0].Error
			for _, e := range r.Resources[0].ConfigEntries {
				res.Configs[e.ConfigName] = e.ConfigValue
			}
		}
	case listOffsets:
		ask := map[string][]kafka.OffsetRequest{}
		for p := range job.Partitions {
			ask[job.Topic] = append(ask[job.Topic], kafka.LastOffsetOf(int(p)))
		}
		var r *kafka.ListOffsetsResponse
		if r, err = c.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: ask}); err == nil {
			res.Offsets = map[string]int64{}
			for _, o := range r.Topics[job.Topic] {
				err = errors.Join(err, o.Error)
				res.Offsets[strconv.Itoa(o.Partition)] = o.LastOffset
			}
		}
	case listGroups:
		var r *kafka.ListGroupsResponse
		if r, err = c.ListGroups(ctx, &kafka.ListGroupsRequest{}); err == nil {
			err = r.Error
			for _, g := range r.Groups {
				res.Groups = append(res.Groups, g.GroupID)
			}
		}
	case describeGroup:
		var r *kafka.DescribeGroupsResponse
		if r, err = c.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{job.Group}}); err == nil {
			err, res.State = r.Groups[0].Error, r.Groups[0].GroupState
		}
	default:
		return kafkaGoGroups(ctx, c, job)
	}
	return res, err
}

func kafkaGoGroups(ctx context.Context, c *kafka.Client, job adminJob) (res adminResult, err error) {
	switch job.Action {
	case groupOffsets:
		var r *kafka.OffsetFetchResponse
		if r, err = c.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: job.Group, Topics: map[string][]int{job.Topic: {0}}}); err == nil {
			res.Offsets = map[string]int64{}
			err = r.Error
			for _, o := range r.Topics[job.Topic] {
				err = errors.Join(err, o.Error)
				res.Offsets[strconv.Itoa(o.Partition)] = o.CommittedOffset
			}
		}
	case alterOffsets:
		var r *kafka.OffsetCommitResponse
		if r, err = c.OffsetCommit(ctx, &kafka.OffsetCommitRequest{GroupID: job.Group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{
			job.Topic: {{Partition: 0, Offset: job.Offset}},
		}}); err == nil {
			for _, p := range r.Topics[job.Topic] {
				err = errors.Join(err, p.Error)
			}
		}
	case deleteGroup:
		var r *kafka.DeleteGroupsResponse
		if r, err = c.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{job.Group}}); err == nil {
			err = r.Errors[job.Group]
		}
	case deleteTopic:
		var r *kafka.DeleteTopicsResponse
		if r, err = c.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{job.Topic}}); err == nil {
			err = r.Errors[job.Topic]
		}
	default:
		err = fmt.Errorf("%s: %w", job.Action, errors.ErrUnsupported)
	}
	return res, err
}

func pointers(m map[string]string) map[string]*string {
	out := map[string]*string{}
	for k, v := range m {
		out[k] = &v
	}
	return out
}
