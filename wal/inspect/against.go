package inspect

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math"

	"chronik/segment"
)

// Comparison is the answer about two copies of a log.
type Comparison struct {
	Path    string `json:"path" yaml:"path"`
	Against string `json:"against" yaml:"against"`
	Equal   bool   `json:"equal" yaml:"equal"`
	Frames  int64  `json:"frames" yaml:"frames"` // that are equal, before the first difference
	// Difference is the first one, nil when there is none.
	Difference *Difference `json:"difference,omitempty" yaml:"difference,omitempty"`
}

// Difference is where two copies of a log part.
type Difference struct {
	Index           uint64 `json:"index" yaml:"index"`
	Path            string `json:"path" yaml:"path"` // "": the log has no such frame
	Position        int64  `json:"position" yaml:"position"`
	AgainstPath     string `json:"against_path" yaml:"against_path"`
	AgainstPosition int64  `json:"against_position" yaml:"against_position"`
	What            string `json:"what" yaml:"what"`
	Want            string `json:"want" yaml:"want"` // in the one it is compared with
	Got             string `json:"got" yaml:"got"`
}

func (d *Difference) Error() string {
	place := func(path string, at int64) string {
		if path == "" {
			return "nowhere"
		}
		return fmt.Sprintf("%s:%d", path, at)
	}
	return fmt.Sprintf("index %d at %s and %s: %s: want %s, got %s", d.Index, place(d.Path, d.Position), place(d.AgainstPath, d.AgainstPosition), d.What, d.Want, d.Got)
}

// Compare compares two copies of a log, or of a segment, frame by frame: index,
// term, kind, offsets, timestamp and payload, but not where they lie. The first
// difference is the error too, a *Difference; damage before it is as in Dump.
func Compare(ctx context.Context, name, against string, o Options) (*Comparison, error) {
	o.defaults()
	o.From, o.To, o.Records = 0, math.MaxInt64, false
	c := &Comparison{Path: name, Against: against}
	one, stopOne, err := frames(ctx, name, o)
	if err != nil {
		return nil, err
	}
	defer stopOne()
	other, stopOther, err := frames(ctx, against, o)
	if err != nil {
		return nil, err
	}
	defer stopOther()
	for {
		a, errA, okA := one()
		b, errB, okB := other()
		switch {
		case okA && errA != nil:
			return c, errA
		case okB && errB != nil:
			return c, errB
		case !okA && !okB:
			c.Equal = true
			return c, nil
		}
		if c.Difference = difference(&a, &b, okA, okB); c.Difference != nil {
			return c, c.Difference
		}
		c.Frames++
	}
}

// placed is a frame and where it lies. Its payload is valid until the next one
// is asked for.
type placed struct {
	*segment.Frame
	path string
	pos  segment.Pos
}

// frames gives those of the one log at name.
func frames(ctx context.Context, name string, o Options) (next func() (placed, error, bool), stop func(), err error) {
	targets, err := find(o.FS, name)
	if err != nil {
		return nil, nil, err
	}
	if len(targets) != 1 {
		return nil, nil, usage("%s: %d logs there; want one log's directory or segment file", name, len(targets))
	}
	next, stop = iter.Pull2(func(yield func(placed, error) bool) {
		d := &dumper{o: &o, t: targets[0]}
		d.visit = func(p string, pos segment.Pos, f *segment.Frame) error {
			if !yield(placed{f, p, pos}, nil) {
				return errStopped
			}
			return nil
		}
		if err := d.log(ctx); err != nil && err != errStopped {
			yield(placed{}, err)
		}
	})
	return next, stop, nil
}

var errStopped = fmt.Errorf("no more is asked for")

func difference(a, b *placed, okA, okB bool) *Difference {
	d := &Difference{AgainstPath: b.path, AgainstPosition: int64(b.pos), Path: a.path, Position: int64(a.pos)}
	if okB {
		d.Index = uint64(b.Index)
	} else {
		d.Index = uint64(a.Index)
	}
	const some = "index %d of term %d, %s, offset %d+%d, timestamp %d"
	say := func(p *placed, ok bool) string {
		if !ok {
			return "the end"
		}
		return fmt.Sprintf(some, p.Index, p.Term, kinds[p.Kind], p.BaseOffset, p.Count, p.MaxTimestamp)
	}
	d.What, d.Want, d.Got = "frame", say(b, okB), say(a, okA)
	if d.Want != d.Got {
		return d
	}
	if bytes.Equal(a.Payload, b.Payload) {
		return nil
	}
	at := 0
	for at < min(len(a.Payload), len(b.Payload)) && a.Payload[at] == b.Payload[at] {
		at++
	}
	rest := func(p []byte) string { return fmt.Sprintf("%d bytes, %x from there", len(p), p[at:min(at+8, len(p))]) }
	d.What, d.Want, d.Got = fmt.Sprintf("payload from byte %d", at), rest(b.Payload), rest(a.Payload)
	return d
}

// Table implements Answer.
func (c *Comparison) Table() (header []string, rows [][]string) {
	found := "-"
	if c.Difference != nil {
		found = c.Difference.Error()
	}
	return []string{"PATH", "AGAINST", "EQUAL", "FRAMES", "FOUND"}, [][]string{{c.Path, c.Against, fmt.Sprint(c.Equal), number(c.Frames), found}}
}
