package node

import (
	"net"
	"time"
)

// turnAway closes what connects to a listener until stop is called, which
// returns when it does so no more. A client that is told at once tries another
// node; one that is kept waiting does not.
func turnAway(l *net.TCPListener) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return func() {
		_ = l.SetDeadline(time.Unix(1, 0)) // ends AcceptTCP
		<-done
		_ = l.SetDeadline(time.Time{})
	}
}
