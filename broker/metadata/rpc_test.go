package metadata

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
		ans := proposeAnswer{version: 7, first: -1}
		ans.code, ans.text = codeOf(sent)
		got, err := decodeProposeAnswer(ans.encode())
		if err != nil || got != ans {
			t.Fatalf("%+v came as %+v, %v", ans, got, err)
		}
		if !errors.Is(got.err(), want) || got.err().Error() != sent.Error() || codes[ans.code] {
			t.Errorf("%v came as %v, code %d", sent, got.err(), ans.code)
		}
		codes[ans.code] = true
	}
	for _, code := range []int8{codeUnknown, 100, -1} {
		if err := errorOf(code, "x"); err == nil {
			t.Errorf("code %d is no error", code)
		}
	}
	if errorOf(codeOK, "") != nil || !errors.Is(errorOf(codeNotLeader, ""), ErrNotLeader) {
		t.Error("the codes that are no command's")
	}
}

// TestEveryErrorHasACode looks for errors in the source of broker/cluster.
func TestEveryErrorHasACode(t *testing.T) {
	found := 0
	files, err := os.ReadDir("../cluster")
	if err != nil {
		t.Skip("the source is not there:", err)
	}
	for _, entry := range files {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), "../cluster/"+entry.Name(), nil, 0)
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
	q, got, err := decodeProposeRequest(proposeRequest{9, p.Append(nil)}.encode())
	if err != nil || q.term != 9 || !reflect.DeepEqual(got, p) || !bytes.Equal(q.command, p.Append(nil)) {
		t.Errorf("propose: %+v, %+v, %v", q, got, err)
	}
	self := cluster.Broker{ID: 3, Host: "h", Port: 1, Rack: "r", RaftAddr: "h:2", Dir: [16]byte{3}, FeatureLevel: 4}
	c, err := decodeJoinRequest(joinRequest{self}.encode())
	if err != nil || *c != *cluster.Register(self) {
		t.Errorf("join: %+v, %v", c, err)
	}
	a := joinAnswer{code: codeNotLeader, text: "t", leader: "l", joined: Joined{ClusterID: "c", Voters: []uint64{1}, Brokers: map[uint64]string{1: "a", 2: "b"}}}
	if got, err := decodeJoinAnswer(a.encode()); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("join: %+v, %v", got, err)
	}
	h := heartbeat{id: 3, epoch: 8}
	if got, err := decodeHeartbeat(h.encode()); err != nil || got != h {
		t.Errorf("heartbeat: %+v, %v", got, err)
	}
}

// FuzzCall takes bytes as a call, and as an answer.
//
// Invariants checked: nothing panics.
func FuzzCall(f *testing.F) {
	f.Add(proposeRequest{9, cluster.Proposed{Command: &cluster.DeleteTopic{}}.Append(nil)}.encode())
	f.Add(proposeAnswer{code: 1}.encode())
	f.Add(joinRequest{}.encode())
	f.Add(joinAnswer{joined: Joined{Voters: []uint64{1}, Brokers: map[uint64]string{1: "a"}}}.encode())
	f.Add(heartbeat{}.encode())
	f.Add(plain(0, "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, p, err := decodeProposeRequest(b)
		if err == nil {
			_, _ = cluster.New().Apply(p.Command)
		}
		_, _ = decodeProposeAnswer(b)
		_, _ = decodeJoinRequest(b)
		_, _ = decodeJoinAnswer(b)
		_, _ = decodeHeartbeat(b)
		_, _, _ = decodePlain(b)
		(*machine)(nil).Describe(b)
	})
}

// TestAdmissions: a call made again does not propose again, however many came
// between; and one too old to be remembered is refused.
func TestAdmissions(t *testing.T) {
	as := admissions{}
	for i := uint64(1); i <= 3*admissionsMax; i++ {
		at := mark{2, 7<<32 | i}
		for n := range 2 {
			if fresh, known := as.admit(at); fresh != (n == 0) || !known {
				t.Fatalf("%d, call %d: %v, %v", i, n, fresh, known)
			}
		}
		if i > admissionsMax {
			old := mark{2, 7<<32 | (i - admissionsMax + 1)}
			if fresh, known := as.admit(old); fresh || !known {
				t.Fatalf("%d again after %d: %v, %v", old.seq, i, fresh, known)
			}
			old.seq--
			if _, known := as.admit(old); known {
				t.Fatalf("%d is remembered after %d", old.seq, i)
			}
		}
	}
	for _, at := range []mark{{2, 8<<32 | 1}, {3, 7<<32 | 1}} {
		if fresh, known := as.admit(at); !fresh || !known {
			t.Errorf("of another process: %v, %v", fresh, known)
		}
	}
	if n := len(as[2][0].seen); n > 2*admissionsMax+1 {
		t.Errorf("%d are remembered", n)
	}
	for life := range uint64(20) {
		as.admit(mark{4, life<<32 | 1})
	}
	if n := len(as[4]); n != livesMax {
		t.Errorf("%d processes of a node are remembered", n)
	}
}
