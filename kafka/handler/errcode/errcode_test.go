package errcode

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"chronik/broker"
	"chronik/broker/group"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
)

// Each sentinel of package broker has a code of its own choosing.
func TestEveryBrokerErrorHasACode(t *testing.T) {
	src, err := os.ReadFile("errcode.go")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../../../broker/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		if v, ok := node.(*ast.ValueSpec); ok {
			for _, name := range v.Names {
				n++
				if !strings.Contains(string(src), "{broker."+name.Name+",") {
					t.Errorf("broker.%s has no row in codes", name.Name)
				}
			}
		}
		return true
	})
	if n < 20 {
		t.Errorf("found only %d errors in package broker", n)
	}
	for _, row := range codes {
		if got := Of(row.err); got != row.code || got == kerr.None {
			t.Errorf("%v gives %v, want %v", row.err, got, row.code)
		}
	}
}

// Each group error's code has the same name.
func TestEveryGroupErrorHasACode(t *testing.T) {
	for e := group.None; e < group.ErrorCount; e++ {
		if groupCodes[e].Name() != e.String() {
			t.Errorf("%v is sent as %v", e, groupCodes[e])
		}
	}
	if Of(errors.New("anything")) != kerr.UnknownServerError {
		t.Error("an unforeseen error is not UNKNOWN_SERVER_ERROR")
	}
}

// Version-dependent substitutions.
func TestSubstitutions(t *testing.T) {
	for _, c := range []struct {
		key, version int16
		err          error
		want         kerr.Code
	}{
		{msg.KeyFindCoordinator, 6, broker.ErrShuttingDown, kerr.CoordinatorNotAvailable},
		{msg.KeyInitProducerId, 0, broker.ErrShuttingDown, kerr.CoordinatorNotAvailable},
		{msg.KeyProduce, 13, broker.ErrShuttingDown, kerr.NotLeaderOrFollower},
		{msg.KeyFetch, 5, broker.ErrStorage, kerr.NotLeaderOrFollower},
		{msg.KeyFetch, 6, broker.ErrStorage, kerr.KafkaStorageError},
		{msg.KeyProduce, 3, broker.ErrStorage, kerr.NotLeaderOrFollower},
		{msg.KeyProduce, 4, broker.ErrStorage, kerr.KafkaStorageError},
		{msg.KeyListOffsets, 4, broker.ErrOffsetNotAvailable, kerr.LeaderNotAvailable},
		{msg.KeyListOffsets, 5, broker.ErrOffsetNotAvailable, kerr.OffsetNotAvailable},
		{msg.KeyDeleteTopics, 2, broker.ErrTopicDeletionDisabled, kerr.InvalidRequest},
		{msg.KeyDeleteTopics, 3, broker.ErrTopicDeletionDisabled, kerr.TopicDeletionDisabled},
		{msg.KeyDescribeGroups, 5, group.GroupIDNotFound, kerr.None},
		{msg.KeyDescribeGroups, 6, group.GroupIDNotFound, kerr.GroupIDNotFound},
		{msg.KeyOffsetCommit, 8, group.GroupIDNotFound, kerr.IllegalGeneration},
		{msg.KeyOffsetCommit, 9, group.GroupIDNotFound, kerr.GroupIDNotFound},
		{msg.KeyDescribeCluster, 0, broker.ErrUnsupportedEndpointType, kerr.InvalidRequest},
		{msg.KeyDescribeCluster, 1, broker.ErrUnsupportedEndpointType, kerr.UnsupportedEndpointType},
	} {
		if got := For(c.err, c.key, c.version); got != c.want {
			t.Errorf("%v in version %d of API %d: %v, want %v", c.err, c.version, c.key, got, c.want)
		}
	}
}

// A response holds a bounded part of an error's text.
func TestMessage(t *testing.T) {
	if got := Message(nil); got.Valid {
		t.Errorf("no error gives %q", got.String)
	}
	if got := Message(broker.ErrTopicExists); !got.Valid || got.String != broker.ErrTopicExists.Error() {
		t.Errorf("message %+v", got)
	}
	if got := Message(errors.New(strings.Repeat("long ", 1000))); len(got.String) != messageBytesMax {
		t.Errorf("a message of %d bytes, want %d", len(got.String), messageBytesMax)
	}
}
