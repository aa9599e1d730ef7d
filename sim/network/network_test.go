package network

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chronik/raftstore/transport"

	pb "go.etcd.io/raft/v3/raftpb"
)

func message(to, index uint64) *pb.Message {
	kind := pb.MsgApp
	return &pb.Message{Type: &kind, To: &to, Index: &index}
}

// rig has two ends, and what was delivered to the second.
type rig struct {
	*Network
	a, b *Endpoint
	mu   sync.Mutex
	got  []uint64
}

func newRig(l Link) *rig {
	r := &rig{Network: New(Options{Rand: rand.New(rand.NewPCG(1, 2)), Default: l})}
	r.a = r.Attach(1, "one", Handlers{})
	r.b = r.Attach(2, "two", Handlers{
		Deliver: func(from, group uint64, m *pb.Message) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if from == 1 && group == 7 {
				r.got = append(r.got, m.GetIndex())
			}
		},
		Serve: func(_ context.Context, from uint64, method uint8, body []byte) ([]byte, error) {
			if method == 9 {
				return nil, errors.New("no")
			}
			return fmt.Appendf(nil, "%d %d %s", from, method, body), nil
		},
	})
	return r
}

func (r *rig) send(n int) []uint64 {
	r.mu.Lock()
	r.got = nil
	r.mu.Unlock()
	for i := range n {
		r.a.Send(7, []*pb.Message{message(2, uint64(i))})
	}
	<-time.After(time.Minute)
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		name  string
		link  Link
		holds func(got []uint64) bool
	}{
		{"good", Link{JitterMax: time.Second}, func(got []uint64) bool { return len(got) == 100 && slices.IsSorted(got) }},
		{"lossy", Link{Loss: 0.5}, func(got []uint64) bool { return len(got) > 20 && len(got) < 80 && slices.IsSorted(got) }},
		{"reorder", Link{Reorder: true, JitterMax: time.Second}, func(got []uint64) bool { return len(got) == 100 && !slices.IsSorted(got) }},
		{"repeat", Link{Repeat: 0.5}, func(got []uint64) bool { return len(got) > 120 && len(got) < 180 }},
		{"cut", Link{Cut: true}, func(got []uint64) bool { return len(got) == 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := newRig(c.link).send(100); !c.holds(got) {
					t.Errorf("delivered: %v", got)
				}
			})
		})
	}
}

// TestCutOnTheWay: a link that is cut loses what is under way; one way only.
func TestCutOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Link{Delay: time.Second})
		time.AfterFunc(time.Millisecond, func() { r.Set(1, 2, Link{Cut: true}) })
		if got := r.send(3); len(got) != 0 {
			t.Errorf("delivered over a cut link: %v", got)
		}
		if l := r.Link(2, 1); l.Cut {
			t.Error("the way back is cut too")
		}
		r.Heal()
		if got := r.send(3); len(got) != 3 {
			t.Errorf("delivered over a healed link: %v", got)
		}
	})
}

func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Link{Delay: time.Second})
		time.AfterFunc(time.Millisecond, r.b.Close)
		if got := r.send(3); len(got) != 0 {
			t.Errorf("delivered to a process that has ended: %v", got)
		}
		if _, err := r.a.Call(t.Context(), 2, 1, nil); !errors.Is(err, transport.ErrUnreachable) {
			t.Errorf("a call of it: %v", err)
		}
		r.a.Close()
		if _, err := r.a.Call(t.Context(), 2, 1, nil); !errors.Is(err, transport.ErrUnreachable) {
			t.Errorf("a call by one: %v", err)
		}
	})
}

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Link{Delay: time.Second})
		begin := time.Now()
		if b, err := r.a.Call(t.Context(), 2, 3, []byte("x")); string(b) != "1 3 x" || err != nil || time.Since(begin) != 2*time.Second {
			t.Errorf("%q, %v after %s", b, err, time.Since(begin))
		}
		if id, b, err := r.a.CallAddr(t.Context(), "two", 4, []byte("y")); id != 2 || string(b) != "1 4 y" || err != nil {
			t.Errorf("%d, %q, %v", id, b, err)
		}
		if _, err := r.a.Call(t.Context(), 2, 9, nil); err == nil || err.Error() != "no" {
			t.Errorf("an error of the other's: %v", err)
		}
		if _, _, err := r.a.CallAddr(t.Context(), "three", 4, nil); !errors.Is(err, transport.ErrUnreachable) {
			t.Errorf("an address that nobody has: %v", err)
		}
		r.Set(2, 1, Link{Cut: true})
		if _, err := r.a.Call(t.Context(), 2, 3, nil); !errors.Is(err, transport.ErrLost) {
			t.Errorf("a call whose answer is lost: %v", err)
		}
		time.AfterFunc(3*time.Second, r.Heal)
		if b, err := r.a.Call(t.Context(), 2, 3, []byte("z")); string(b) != "1 3 z" || err != nil {
			t.Errorf("a call over a link that heals: %q, %v", b, err)
		}
	})
}
