package node

import (
	"net"

	"chronik/internal/vfs"
)

// Descriptors that are kept back from accept, so that clients cannot take what
// storage needs: of the limit an eighth, at least descriptorsKeptMin. A roll
// needs two for a moment (the next segment, and a directory to sync), a new
// partition keeps one. The metrics port may use half of them: it answers while
// clients hold all that they can get.
const descriptorsKeptMin = 64

func descriptorsKept(limit int) int { return min(max(limit/8, descriptorsKeptMin), limit/2) }

// descriptorsLeft is what is open and may be opened, of this process;
// a variable so that tests can run short of them.
var descriptorsLeft = vfs.Descriptors

// full reports whether fewer descriptors are left than are kept back. What
// cannot be found out is not full: accept then finds the end by itself.
func full() bool { return fewerLeft(1) }

func fewerLeft(divisor int) bool {
	open, limit, err := descriptorsLeft()
	return err == nil && limit-open < descriptorsKept(limit)/divisor
}

// sparing is a listener that closes what it accepts when more than half of the
// descriptors that are kept back are gone.
type sparing struct{ net.Listener }

func (l sparing) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || !fewerLeft(2) {
			return c, err
		}
		c.Close()
	}
}
