package repair

import (
	"fmt"
	"strconv"
)

// String says what is lost in a few words.
func (l *Loss) String() string {
	return fmt.Sprintf("indexes %s, offsets %s, %s records, %d bytes", span(l.FirstIndex, l.LastIndex), span(l.FirstOffset, before(l.NextOffset)), known(l.Records), l.Bytes)
}

func known[T int64 | uint64](n *T) string {
	if n == nil {
		return "unknown"
	}
	return fmt.Sprint(*n)
}

func before(n *int64) *int64 {
	if n != nil {
		return new(*n - 1)
	}
	return nil
}

// span is a range, both ends included.
func span[T int64 | uint64](first, last *T) string {
	if first != nil && last != nil && *last < *first {
		return "none"
	}
	return known(first) + "-" + known(last)
}

// Table implements inspect.Answer: what was found, what is different in the
// copy, what is lost, and what the copy is.
func (r *Report) Table() (header []string, rows [][]string) {
	add := func(what, path, position, text string) { rows = append(rows, []string{what, path, position, text}) }
	text := "-"
	if r.Damage != nil {
		text = r.Damage.Error()
	}
	add(string(r.State), r.Path, "", text)
	for _, s := range r.Done {
		add("repaired", s.Path, strconv.FormatInt(s.Position, 10), s.What)
	}
	for i := range r.Choices {
		c := &r.Choices[i]
		add("could lose", c.Path, "", c.Option+": "+c.Loses.String())
	}
	if r.Copy != nil {
		if r.Lost != nil {
			add("lost", r.Path, "", r.Lost.String())
		} else {
			add("lost", r.Path, "", "nothing")
		}
		c := r.Copy
		add("copy", r.To, "", fmt.Sprintf("clean: indexes %d-%d, offsets %d-%d, %d segments, %d frames, %d records, %d bytes",
			c.FirstIndex, c.LastIndex, c.StartOffset, c.NextOffset-1, c.Segments, c.Frames, c.Records, c.Bytes))
	}
	return []string{"WHAT", "PATH", "POSITION", "TEXT"}, rows
}
