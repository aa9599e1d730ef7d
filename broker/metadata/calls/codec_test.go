package calls

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"chronik/broker/cluster"
)

// TestErrorsSurviveTheTrip: each error of the commands' is the same error at
// the node that asked, with its text.
func TestErrorsSurviveTheTrip(t *testing.T) {
	codes := map[int8]bool{}
	for _, want := range append([]error{ErrStorage}, sentinels...) {
		sent := fmt.Errorf("%w: the particulars", want)
		ans := ProposeAnswer{Version: 7, First: -1}
		ans.Code, ans.Text = CodeOf(sent)
		got, err := DecodeProposeAnswer(ans.Encode())
		if err != nil || got != ans {
			t.Fatalf("%+v came as %+v, %v", ans, got, err)
		}
		if !errors.Is(got.Err(), want) || got.Err().Error() != sent.Error() || codes[ans.Code] {
			t.Errorf("%v came as %v, code %d", sent, got.Err(), ans.Code)
		}
		codes[ans.Code] = true
	}
	for _, code := range []int8{Unknown, 100, -1} {
		if err := ErrorOf(code, "x"); err == nil {
			t.Errorf("code %d is no error", code)
		}
	}
	if ErrorOf(OK, "") != nil || !errors.Is(ErrorOf(NotLeader, ""), ErrNotLeader) {
		t.Error("the codes that are no command's")
	}
}

// TestEveryErrorHasACode looks for errors in the source of broker/cluster.
func TestEveryErrorHasACode(t *testing.T) {
	found := 0
	files, err := os.ReadDir("../../cluster")
	if err != nil {
		t.Skip("the source is not there:", err)
	}
	for _, entry := range files {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), "../../cluster/"+entry.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Err") {
				found++
			}
			return true
		})
	}
	if found != len(sentinels) {
		t.Errorf("broker/cluster has %d errors, %d have codes", found, len(sentinels))
	}
}

func TestCallsSurviveEncoding(t *testing.T) {
	p := cluster.Proposed{Node: 3, Seq: 1<<40 | 5, Command: &cluster.DeleteTopic{ID: cluster.TopicID{1}}}
	q, got, err := DecodeProposeRequest(ProposeRequest{9, p.Append(nil)}.Encode())
	if err != nil || q.Term != 9 || !reflect.DeepEqual(got, p) || !bytes.Equal(q.Command, p.Append(nil)) {
		t.Errorf("propose: %+v, %+v, %v", q, got, err)
	}
	self := cluster.Broker{ID: 3, Host: "h", Port: 1, Rack: "r", RaftAddr: "h:2", Dir: [16]byte{3}, FeatureLevel: 4}
	c, err := DecodeJoinRequest(JoinRequest{self}.Encode())
	if err != nil || *c != *cluster.Register(self) {
		t.Errorf("join: %+v, %v", c, err)
	}
	a := JoinAnswer{Code: NotLeader, Text: "t", Leader: "l", Joined: Joined{ClusterID: "c", Voters: []uint64{1}, Brokers: map[uint64]string{1: "a", 2: "b"}}}
	if got, err := DecodeJoinAnswer(a.Encode()); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("join: %+v, %v", got, err)
	}
	h := Heartbeat{ID: 3, Epoch: 8}
	if got, err := DecodeHeartbeat(h.Encode()); err != nil || got != h {
		t.Errorf("heartbeat: %+v, %v", got, err)
	}
}

// FuzzCall takes bytes as a call, and as an answer.
//
// Invariants checked: nothing panics.
func FuzzCall(f *testing.F) {
	f.Add(ProposeRequest{9, cluster.Proposed{Command: &cluster.DeleteTopic{}}.Append(nil)}.Encode())
	f.Add(ProposeAnswer{Code: 1}.Encode())
	f.Add(JoinRequest{}.Encode())
	f.Add(JoinAnswer{Joined: Joined{Voters: []uint64{1}, Brokers: map[uint64]string{1: "a"}}}.Encode())
	f.Add(Heartbeat{}.Encode())
	f.Add(Plain(0, "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, p, err := DecodeProposeRequest(b)
		if err == nil {
			_, _ = cluster.New().Apply(p.Command)
		}
		_, _ = DecodeProposeAnswer(b)
		_, _ = DecodeJoinRequest(b)
		_, _ = DecodeJoinAnswer(b)
		_, _ = DecodeHeartbeat(b)
		_, _, _ = DecodePlain(b)
		_, _ = cluster.ImageOrdinal(b)
	})
}
