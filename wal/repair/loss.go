package repair

import (
	"errors"
	"fmt"
	"io/fs"

	"chronik/segment"
	"chronik/segment/scan"
	"chronik/wal"
)

// found is what stands behind the frames that are in order.
type found struct {
	end  segment.Pos // of the last frame that verifies; 0: there is none
	mark segment.Pos // of a mark, which a clean close leaves where the frames end; 0: there is none
	last segment.Index
	next segment.Offset
}

// behind looks for frames from a position on.
func behind(s *scan.Scan, from segment.Pos) (out found, err error) {
	err = s.Beyond(from, func(at segment.Pos, f *segment.Frame) {
		switch {
		case f.Mark:
			out.mark = at
		case f.Index >= out.last:
			out.end, out.last, out.next = max(out.end, at+segment.Pos(f.Length)), f.Index, f.Next()
		}
	})
	return out, err
}

func (c *source) beyond() (found, error) { return behind(c.s, c.x.end) }

// choices are what could be given up so that the damage is gone.
func (c *source) choices() []Choice {
	out := []Choice{{fmt.Sprintf("--cut-from %d", c.x.end), c.path(), *c.lossFrom()}}
	if c.sealed() {
		out = append(out, Choice{"--drop-through", c.path(), *lossThrough(c.m, c.i)})
	}
	return out
}

// lossFrom is what a cut of the log at x loses. The manifest knows the sealed
// segments; of the unsealed one, the last frame that can be found counts.
func (c *source) lossFrom() *Loss {
	l := &Loss{FirstIndex: new(uint64(c.x.index)), FirstOffset: new(int64(c.x.next))}
	segs := c.m.Segments
	var tail found
	known := false
	for i := c.i; i < len(segs); i++ {
		from := segment.DataStart
		if i == c.i {
			from = c.x.end
		}
		if i < len(segs)-1 {
			l.Bytes += int64(segs[i].DataEnd - from)
			tail, known = found{last: segs[i].BaseIndex + segment.Index(segs[i].Frames) - 1, next: segs[i].NextOffset}, true
			continue
		}
		end, err := c.lastOf(i, from)
		switch {
		case err != nil:
			known = false
		case end.end > 0:
			l.Bytes += int64(end.end - from)
			tail, known = end, true
		default: // how far it went may be known all the same
			l.Bytes += int64(max(from, end.mark, segs[i].DataEnd) - from)
		}
	}
	if known {
		l.LastIndex, l.NextOffset = new(uint64(tail.last)), new(int64(tail.next))
		l.Records = new(max(0, *l.NextOffset-*l.FirstOffset))
	}
	return l
}

// lastOf finds the last frame of the unsealed segment.
func (c *source) lastOf(i int, from segment.Pos) (found, error) {
	if i == c.i && c.s != nil {
		return behind(c.s, from)
	}
	s, err := scan.OpenWithout(c.r.o.FS, c.r.path(&c.m.Segments[i]), &c.m.Segments[i], false)
	if errors.Is(err, fs.ErrNotExist) {
		return found{}, err
	}
	if err != nil {
		return found{}, err
	}
	defer s.Close()
	return behind(s, from)
}

// lossThrough is what dropping the log's front, segment i included, loses.
func lossThrough(m *wal.Manifest, i int) *Loss {
	l := &Loss{FirstIndex: new(uint64(m.Segments[0].BaseIndex)), LastIndex: new(uint64(m.Segments[i+1].BaseIndex - 1)),
		FirstOffset: new(int64(max(m.Start, m.Segments[0].BaseOffset)))}
	l.NextOffset = new(max(*l.FirstOffset, int64(m.Segments[i].NextOffset)))
	l.Records = new(*l.NextOffset - *l.FirstOffset)
	for _, s := range m.Segments[:i+1] {
		l.Bytes += int64(s.DataEnd - segment.DataStart)
	}
	return l
}
