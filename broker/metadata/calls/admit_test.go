package calls

import "testing"

// TestAdmissions: a call made again does not propose again, however many came
// between; and one too old to be remembered is refused.
func TestAdmissions(t *testing.T) {
	as := Admissions{}
	for i := uint64(1); i <= 3*admissionsMax; i++ {
		at := Mark{2, 7<<32 | i}
		for n := range 2 {
			if fresh, known := as.Admit(at); fresh != (n == 0) || !known {
				t.Fatalf("%d, call %d: %v, %v", i, n, fresh, known)
			}
		}
		if i > admissionsMax {
			old := Mark{2, 7<<32 | (i - admissionsMax + 1)}
			if fresh, known := as.Admit(old); fresh || !known {
				t.Fatalf("%d again after %d: %v, %v", old.Seq, i, fresh, known)
			}
			old.Seq--
			if _, known := as.Admit(old); known {
				t.Fatalf("%d is remembered after %d", old.Seq, i)
			}
		}
	}
	for _, at := range []Mark{{2, 8<<32 | 1}, {3, 7<<32 | 1}} {
		if fresh, known := as.Admit(at); !fresh || !known {
			t.Errorf("of another process: %v, %v", fresh, known)
		}
	}
	if n := len(as[2][0].seen); n > 2*admissionsMax+1 {
		t.Errorf("%d are remembered", n)
	}
	for life := range uint64(20) {
		as.Admit(Mark{4, life<<32 | 1})
	}
	if n := len(as[4]); n != livesMax {
		t.Errorf("%d processes of a node are remembered", n)
	}
}
