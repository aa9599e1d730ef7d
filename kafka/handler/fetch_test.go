package handler

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"chronik/broker/fetchsession"
	"chronik/broker/group"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
)

// A response of many partitions is copied a few times while it grows, not once
// for each partition.
func TestFetchResponseGrowsInFewSteps(t *testing.T) {
	const partitions, stepsMax = 1 << 14, 64
	for _, topicOf := range []func(i int) string{
		func(int) string { return "t" },
		func(i int) string { return string(rune('a' + i%2)) }, // each partition opens a topic of its own
	} {
		var f fetchCall
		for i := range partitions {
			key := fetchsession.Key{Topic: topicOf(i), Partition: int32(i)}
			f.session.Partitions = append(f.session.Partitions, fetchsession.Partition{Key: key})
		}
		steps, room, n := 0, 0, 0
		for i := range partitions {
			f.add(i)
			now := cap(f.resp.Responses)
			if len(f.resp.Responses) == 1 {
				now = cap(f.resp.Responses[0].Partitions)
			}
			if now != room {
				steps, room = steps+1, now
			}
		}
		for _, topic := range f.resp.Responses {
			n += len(topic.Partitions)
		}
		if n != partitions || steps > stepsMax {
			t.Errorf("%d of %d partitions listed, in memory that was moved %d times, at most %d wanted", n, partitions, steps, stepsMax)
		}
	}
}

// One request that fails for many partitions is one line in the log.
func TestUnforeseenErrorIsLoggedOnce(t *testing.T) {
	r := newRig(t, richBroker())
	var log bytes.Buffer
	r.handler.log = slog.New(slog.NewTextHandler(&log, nil))
	r.broker.commitErr = group.UnknownServerError
	q := requests[msg.KeyOffsetCommit](8).(*msg.OffsetCommitRequest)
	for range 100 {
		q.Topics[0].Partitions = append(q.Topics[0].Partitions, q.Topics[0].Partitions[0])
	}
	for n := 1; n <= 2; n++ {
		var resp msg.OffsetCommitResponse
		r.ask(q, 8, &resp)
		p := resp.Topics[0].Partitions
		if last := p[len(p)-1].ErrorCode; last != int16(kerr.UnknownServerError) {
			t.Errorf("error code %d", last)
		}
		if lines := strings.Count(log.String(), "\n"); lines != n {
			t.Fatalf("%d lines after %d requests, want one each:\n%.1000s", lines, n, log.String())
		}
	}
}
