package clock

import (
	"slices"
	"testing"
	"time"
)

func TestManualRunsDueTimersInOrder(t *testing.T) {
	start := time.Unix(100, 0)
	m := NewManual(start)
	var ran []string
	at := func(name string, want time.Duration) func() {
		return func() {
			if got := m.Now().Sub(start); got != want {
				t.Errorf("%s ran at +%v, want +%v", name, got, want)
			}
			ran = append(ran, name)
		}
	}
	m.AfterFunc(3*time.Second, at("c", 3*time.Second))
	m.AfterFunc(1*time.Second, func() {
		at("a", time.Second)()
		m.AfterFunc(time.Second, at("b", 2*time.Second))
	})
	stopped := m.AfterFunc(2*time.Second, at("stopped", 0))
	moved := m.AfterFunc(time.Second, at("moved", 5*time.Second))
	if !stopped.Stop() || stopped.Stop() {
		t.Error("Stop must report true once, then false")
	}
	if !moved.Reset(5 * time.Second) {
		t.Error("Reset of a pending timer reported false")
	}
	m.Advance(4 * time.Second)
	if want := []string{"a", "b", "c"}; !slices.Equal(ran, want) {
		t.Fatalf("ran %v, want %v", ran, want)
	}
	if next, ok := m.Next(); !ok || next != start.Add(5*time.Second) {
		t.Errorf("Next = %v, %v", next, ok)
	}
	m.Advance(time.Second)
	if want := []string{"a", "b", "c", "moved"}; !slices.Equal(ran, want) {
		t.Fatalf("ran %v, want %v", ran, want)
	}
	if got := m.Now(); got != start.Add(5*time.Second) {
		t.Errorf("Now = %v", got)
	}
}
