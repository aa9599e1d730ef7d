package handler

import (
	"testing"

	"chronik/broker/fetchsession"
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
