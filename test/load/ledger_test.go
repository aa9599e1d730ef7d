package load

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestAuditSees shows that each defect this suite is for is seen.
func TestAuditSees(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	rec := func(p uint32, seq uint64) []byte { return Seal(Stamp{p, seq}, rng, 10) }
	broken := rec(1, 0)
	broken[len(broken)-1] ^= 1
	cases := []struct {
		name string
		log  [][]byte
		want string
	}{
		{"clean", [][]byte{rec(1, 0), rec(2, 0), rec(2, 0), rec(1, 1), rec(2, 1)}, ""},
		{"lost in the middle", [][]byte{rec(1, 0), rec(1, 2)}, "1 is missing"},
		{"lost at the end", [][]byte{rec(1, 0), rec(2, 0), rec(2, 0), rec(1, 1)}, "offset 4 was acknowledged"},
		{"duplicate of an idempotent producer", [][]byte{rec(1, 0), rec(1, 0)}, "is there twice"},
		{"out of order", [][]byte{rec(2, 0), rec(2, 2), rec(2, 1)}, "1 is missing"},
		{"changed", [][]byte{broken}, "checksum"},
		{"other record at an acknowledged offset", [][]byte{rec(2, 0)}, "acknowledged was"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := newLedger(1)
			l.enrol(1, true)
			l.enrol(2, false)
			l.acknowledge(0, 0, Stamp{1, 0})
			l.acknowledge(0, 4, Stamp{2, 1})
			if c.name == "out of order" {
				l = newLedger(1)
				l.enrol(2, false)
			}
			a := newAudit(l, 0)
			var err error
			for i, v := range c.log {
				if err = a.record(int64(i), v); err != nil {
					break
				}
			}
			if err == nil {
				err = a.whole()
			}
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}
