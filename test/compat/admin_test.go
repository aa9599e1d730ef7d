package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/test/harness"
)

// TestAdmin runs each client's admin API through one story: a topic is made, described, grown, configured, filled, cut
// and deleted; a group's offsets are set, read and deleted with it.
func TestAdmin(t *testing.T) {
	b := sharedBroker(t)
	for _, s := range selected() {
		if s.oldOnly {
			continue // it is there to produce and consume as clients of its age do
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			c, err := s.open(t, b.Bootstrap())
			if err != nil {
				t.Fatalf("cannot be installed or started: %v", err)
			}
			t.Cleanup(c.close)
			newStory(t, b, s, c).tell()
		})
	}
}

// story is one client's walk through the admin calls; a call that the client lacks is made by franz-go in its place,
// so that the calls after it find what they need.
type story struct {
	t     *testing.T
	b     *harness.Broker
	s     subject
	c     client
	topic string
	group string
}

func newStory(t *testing.T, b *harness.Broker, s subject, c client) *story {
	return &story{t, b, s, c, "admin." + s.name, "admin-group-" + s.name}
}

// call runs one action; when check is given, the answer is polled until it holds (metadata may trail a change).
func (st *story) call(job adminJob, check func(adminResult) error) {
	st.t.Helper()
	var c client = st.c
	if slices.Contains(st.s.noAdmin, job.Action) {
		c = franz{addr: st.b.Bootstrap()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepMax)
	defer cancel()
	if check == nil {
		if _, err := c.admin(ctx, job); err != nil {
			st.t.Fatalf("%s: %v", job.Action, err)
		}
		return
	}
	harness.Eventually(st.t, time.Minute, job.Action, func() error {
		res, err := c.admin(ctx, job)
		if err != nil {
			st.t.Fatalf("%s: %v", job.Action, err)
		}
		return check(res)
	})
}

func (st *story) tell() {
	st.t.Helper()
	topic, group := st.topic, st.group
	st.call(adminJob{Action: createTopic, Topic: topic, Partitions: 2, Replicas: replicas(st.t), Configs: map[string]string{"retention.ms": "3600000"}}, nil)
	settle(st.t, st.b, topic)
	st.call(adminJob{Action: listTopics}, func(r adminResult) error { return contains(r.Topics, topic) })
	st.call(adminJob{Action: describeTopic, Topic: topic}, func(r adminResult) error { return equal(r.Partitions, 2) })
	st.call(adminJob{Action: createPartitions, Topic: topic, Partitions: 4}, nil)
	settle(st.t, st.b, topic)
	st.call(adminJob{Action: describeTopic, Topic: topic}, func(r adminResult) error { return equal(r.Partitions, 4) })
	st.configs()
	st.records()
	// kafka-go and kafkajs ask for every partition of the topic; the others list what is committed.
	st.call(adminJob{Action: alterOffsets, Group: group, Topic: topic, Offset: 7}, nil)
	st.call(adminJob{Action: groupOffsets, Group: group, Topic: topic}, func(r adminResult) error { return equal(r.Offsets["0"], 7) })
	st.call(adminJob{Action: listGroups}, func(r adminResult) error { return contains(r.Groups, group) })
	st.call(adminJob{Action: describeGroup, Group: group}, func(r adminResult) error { return equal(strings.ToLower(r.State), "empty") })
	st.call(adminJob{Action: deleteGroup, Group: group}, nil)
	st.call(adminJob{Action: listGroups}, func(r adminResult) error { return lacks(r.Groups, group) })
	st.call(adminJob{Action: deleteTopic, Topic: topic}, nil)
	st.call(adminJob{Action: listTopics}, func(r adminResult) error { return lacks(r.Topics, topic) })
}

func (st *story) configs() {
	st.t.Helper()
	st.call(adminJob{Action: describeConfigs, Topic: st.topic}, func(r adminResult) error {
		if err := equal(r.Configs["retention.ms"], "3600000"); err != nil {
			return err
		}
		return equal(r.Configs["cleanup.policy"], "delete")
	})
	// AlterConfigs (the old call) replaces all overrides, the incremental one adds: both are given both settings.
	st.call(adminJob{Action: alterConfigs, Topic: st.topic, Configs: map[string]string{"retention.ms": "7200000", "max.message.bytes": "2000000"}}, nil)
	st.call(adminJob{Action: describeConfigs, Topic: st.topic}, func(r adminResult) error {
		if err := equal(r.Configs["max.message.bytes"], "2000000"); err != nil {
			return err
		}
		return equal(r.Configs["retention.ms"], "7200000")
	})
	st.call(adminJob{Action: describeBroker}, func(r adminResult) error {
		if r.Configs["message.max.bytes"] == "" {
			return fmt.Errorf("broker configs lack message.max.bytes: %d keys", len(r.Configs))
		}
		return nil
	})
}

func (st *story) records() {
	st.t.Helper()
	var rs []record
	for i := range 10 {
		rs = append(rs, record{Topic: st.topic, Timestamp: baseTime, Value: fmt.Appendf(nil, "record %d", i)})
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepMax)
	defer cancel()
	if _, err := (franz{addr: st.b.Bootstrap()}).produce(ctx, produceJob{Topic: st.topic, Codec: "none", Acks: -1, Records: rs}); err != nil {
		st.t.Fatal(err)
	}
	st.call(adminJob{Action: listOffsets, Topic: st.topic, Partitions: 4}, func(r adminResult) error {
		return equal(fmt.Sprint(r.Offsets), fmt.Sprint(map[string]int64{"0": 10, "1": 0, "2": 0, "3": 0}))
	})
	st.call(adminJob{Action: describeLogDirs}, func(r adminResult) error {
		if r.Bytes <= 0 {
			return fmt.Errorf("log dirs hold %d bytes after ten records", r.Bytes)
		}
		return nil
	})
	st.call(adminJob{Action: deleteRecords, Topic: st.topic, Offset: 4}, nil)
	got, err := (franz{addr: st.b.Bootstrap()}).consume(ctx, []string{st.topic}, 6)
	if err != nil {
		st.t.Fatalf("after %s: %v", deleteRecords, err)
	}
	if got[0].Offset != 4 || string(got[0].Value) != "record 4" {
		st.t.Errorf("after %s the first record is %d %q, want 4 %q", deleteRecords, got[0].Offset, got[0].Value, "record 4")
	}
}

func equal[T comparable](got, want T) error {
	if got != want {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

func contains(names []string, name string) error {
	if !slices.Contains(names, name) {
		return fmt.Errorf("%q is not in %q", name, names)
	}
	return nil
}

func lacks(names []string, name string) error {
	if slices.Contains(names, name) {
		return fmt.Errorf("%q is still in %q", name, names)
	}
	return nil
}
