package kerr

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestEveryCodeIsComplete(t *testing.T) {
	names, messages := map[string]Code{}, map[string]Code{}
	for c := UnknownServerError; c <= ControllerIDNotRegistered; c++ {
		if c.Name() == "" || strings.HasPrefix(c.Name(), "UNKNOWN_CODE") || c.Name() != strings.ToUpper(c.Name()) {
			t.Errorf("code %d has the name %q", int16(c), c.Name())
		}
		if c.Message() == "" {
			t.Errorf("%v has no message", c.Name())
		}
		if other, ok := names[c.Name()]; ok {
			t.Errorf("codes %d and %d have one name", int16(c), int16(other))
		}
		if other, ok := messages[c.Message()]; ok {
			t.Errorf("codes %d and %d have one message", int16(c), int16(other))
		}
		names[c.Name()], messages[c.Message()] = c, c
	}
	if len(names) != 138 {
		t.Errorf("%d codes, want 138 (-1 to 136)", len(names))
	}
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		code  Code
		num   int16
		name  string
		retry bool
	}{
		{UnknownServerError, -1, "UNKNOWN_SERVER_ERROR", false},
		{None, 0, "NONE", false},
		{OffsetOutOfRange, 1, "OFFSET_OUT_OF_RANGE", false},
		{UnknownTopicOrPartition, 3, "UNKNOWN_TOPIC_OR_PARTITION", true},
		{NotLeaderOrFollower, 6, "NOT_LEADER_OR_FOLLOWER", true},
		{NotEnoughReplicasAfterAppend, 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", true},
		{UnsupportedVersion, 35, "UNSUPPORTED_VERSION", false},
		{InvalidRequest, 42, "INVALID_REQUEST", false},
		{ConcurrentTransactions, 51, "CONCURRENT_TRANSACTIONS", true},
		{FencedLeaderEpoch, 74, "FENCED_LEADER_EPOCH", true},
		{InvalidRecord, 87, "INVALID_RECORD", false},
		{UnknownTopicID, 100, "UNKNOWN_TOPIC_ID", true},
		{ShareSessionLimitReached, 133, "SHARE_SESSION_LIMIT_REACHED", true},
		{-2, -2, "UNKNOWN_CODE_-2", false},
		{137, 137, "UNKNOWN_CODE_137", false},
	} {
		if int16(c.code) != c.num || c.code.Name() != c.name || c.code.Retriable() != c.retry {
			t.Errorf("got %d %s %v, want %d %s %v", int16(c.code), c.code.Name(), c.code.Retriable(), c.num, c.name, c.retry)
		}
	}
	retry := 0
	for c := UnknownServerError; c <= ControllerIDNotRegistered; c++ {
		if c.Retriable() {
			retry++
		}
	}
	if retry != 32 {
		t.Errorf("%d codes are retriable, want 32", retry)
	}
}

func TestCodeIsAnError(t *testing.T) {
	err := fmt.Errorf("append: %w", NotEnoughReplicas)
	var c Code
	if !errors.As(err, &c) || c != NotEnoughReplicas || !errors.Is(err, NotEnoughReplicas) {
		t.Fatalf("%v does not carry its code", err)
	}
	if got := err.Error(); got != "append: NOT_ENOUGH_REPLICAS: fewer in-sync replicas than required" {
		t.Error(got)
	}
}
