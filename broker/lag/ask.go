package lag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"chronik/broker/cluster"
	"chronik/broker/leaders"
	"chronik/internal/clock"
)

// Method asks a node for the high watermarks of partitions: each topic id and
// partition (16 and 4 bytes), as many as there are. The answer has 8 bytes for
// each, in their order; -1: the node does not lead it.
const Method uint8 = 67

const (
	questionBytes = 16 + 4
	answerBytes   = 8
)

// ErrMalformed is a call that cannot be read.
var ErrMalformed = errors.New("the call is malformed")

// Serve answers Method.
func (l *Lag) Serve(body []byte) ([]byte, error) {
	if n := len(body) / questionBytes; len(body)%questionBytes != 0 || n > partitionsMax {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(body))
	}
	var out []byte
	for ; len(body) > 0; body = body[questionBytes:] {
		end := int64(-1)
		if _, p, err := l.opt.Local.Lookup("", cluster.TopicID(body), true, int32(binary.BigEndian.Uint32(body[16:]))); err == nil {
			if s := p.State(); s.Leading {
				end = s.HighWatermark
			}
		}
		out = binary.BigEndian.AppendUint64(out, uint64(end))
	}
	return out, nil
}

// ask is one round: each leader is asked for what it leads of wanted, all at
// the same time. What was known of other partitions is forgotten.
func (l *Lag) ask(wanted map[at]bool) {
	byLeader := map[int32][]at{}
	for p := range wanted {
		leader, _ := l.opt.Leaders.Find(leaders.Partition{ID: p.topic, Index: p.index})
		if leader.Node >= 0 && leader.Node != l.opt.NodeID {
			byLeader[leader.Node] = append(byLeader[leader.Node], p)
		}
	}
	var calls sync.WaitGroup
	for node, parts := range byLeader {
		calls.Go(func() { l.call(node, parts) })
	}
	calls.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.opt.Clock.Now()
	for p, e := range l.known {
		if !wanted[p] || now.Sub(e.told) >= knownMax {
			delete(l.known, p)
		}
	}
	close(l.round)
	l.round = nil
}

// call asks one node, and takes note of what it answers.
func (l *Lag) call(node int32, parts []at) {
	ctx, cancel := clock.WithTimeout(l.ctx, l.opt.Clock, askMax)
	defer cancel()
	body := make([]byte, 0, len(parts)*questionBytes)
	for _, p := range parts {
		body = binary.BigEndian.AppendUint32(append(body, p.topic[:]...), uint32(p.index))
	}
	answer, err := l.opt.Peers.Call(ctx, uint64(node), Method, body)
	if err != nil || len(answer) != len(parts)*answerBytes {
		return // an older release, or a node that is gone: the next round asks who leads then
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range parts {
		if offset := int64(binary.BigEndian.Uint64(answer)); offset >= 0 {
			l.known[p] = end{offset, l.opt.Clock.Now()}
		}
		answer = answer[answerBytes:]
	}
}
