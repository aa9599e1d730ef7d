package raftstore

import (
	"testing"

	"chronik/internal/vfs"

	pb "go.etcd.io/raft/v3/raftpb"
)

// What is counted as live is what a file that holds nothing else would have.
func TestLiveBytesAreCounted(t *testing.T) {
	r := random(t)
	fsys := vfs.NewMem()
	for range 5 {
		h, _ := openHard(t, fsys)
		check := func(after string) {
			t.Helper()
			h.mu.Lock()
			defer h.mu.Unlock()
			want := int64(0)
			for _, g := range h.groups {
				want += g.recordBytes()
			}
			if h.live != want {
				t.Fatalf("after %s: %d bytes counted as live, %d groups have %d", after, h.live, len(h.groups), want)
			}
		}
		check("opening")
		for range 200 {
			group := r.Uint64N(20) + 1
			switch r.IntN(4) {
			case 0, 1:
				h.Save(group, State{Term: r.Uint64N(9)}, nil)
				check("Save")
			case 2:
				h.SaveConf(group, 1, &pb.ConfState{Voters: make([]uint64, r.IntN(5)), Learners: make([]uint64, r.IntN(3))}, nil)
				check("SaveConf")
			case 3:
				h.Remove(group)
				check("Remove")
			}
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
