package client

import (
	"fmt"
	"testing"
	"time"

	"chronik/kafka/kerr"
	"chronik/kafka/wire"
)

// A group whose coordinator is still loading is asked again, and any other
// error is told at once.
func TestUnsettledCoordinatorIsAskedAgain(t *testing.T) {
	c := &Conn{deadline: time.Now().Add(time.Minute)}
	for code, want := range map[kerr.Code]int{kerr.CoordinatorLoadInProgress: 3, kerr.NotCoordinator: 3, kerr.GroupIDNotFound: 1} {
		asked := 0
		err := c.Settled(t.Context(), func() error {
			if asked++; asked == 3 {
				return nil
			}
			return fmt.Errorf("wrapped: %w", CodeError(int16(code), wire.NullString{}, "group g"))
		})
		if asked != want || (err == nil) != (want == 3) {
			t.Errorf("%s: asked %d times, want %d: %v", code.Name(), asked, want, err)
		}
	}
	c.deadline = time.Now()
	if err := c.Settled(t.Context(), func() error { return CodeError(int16(kerr.NotCoordinator), wire.NullString{}, "g") }); err == nil {
		t.Error("no time left, and no error")
	}
}
