package inspect

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Escape makes text of bytes so that they can be told from it again: \\ is a
// backslash, \n, \r and \t are what they are in Go, and \xNN is a byte that is
// no text. nil stays nil.
func Escape(b []byte) *string {
	if b == nil {
		return nil
	}
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '\\':
			s.WriteString(`\\`)
		case r == '\n':
			s.WriteString(`\n`)
		case r == '\r':
			s.WriteString(`\r`)
		case r == '\t':
			s.WriteString(`\t`)
		case r == utf8.RuneError && n == 1, !unicode.IsPrint(r):
			for _, c := range b[:n] {
				fmt.Fprintf(&s, `\x%02x`, c)
			}
		default:
			s.Write(b[:n])
		}
		b = b[n:]
	}
	text := s.String()
	return &text
}

// String is the line for people: records below their batch below their frame.
func (l Line) String() string {
	switch {
	case l.Frame != nil:
		f := l.Frame
		return fmt.Sprintf("index %d term %d %s offset %d+%d timestamp %s payload %d synced %d at %s:%d", f.Index, f.Term, f.Kind,
			f.BaseOffset, f.Count, when(f.MaxTimestamp), f.PayloadBytes, f.SyncedThrough, f.Path, f.Position)
	case l.Batch != nil:
		b := l.Batch
		return fmt.Sprintf("  offset %d-%d epoch %d records %d bytes %d %s crc %08x timestamp %s producer %d/%d sequence %d%s%s at %d",
			b.BaseOffset, b.LastOffset, b.LeaderEpoch, b.Records, b.Bytes, b.Codec, b.CRC, when(b.MaxTimestamp),
			b.ProducerID, b.ProducerEpoch, b.BaseSequence, word(b.Transactional, " transactional"), word(b.Control, " control"), b.Position)
	case l.Record != nil:
		r := l.Record
		var s strings.Builder
		fmt.Fprintf(&s, "    offset %d timestamp %s key %s value %s", r.Offset, when(r.Timestamp), shown(r.Key), shown(r.Value))
		for _, h := range r.Headers {
			fmt.Fprintf(&s, " header %s=%s", h.Key, shown(h.Value))
		}
		return s.String()
	}
	return ""
}

func word(is bool, s string) string {
	if is {
		return s
	}
	return ""
}

func shown(s *string) string {
	if s == nil {
		return "null"
	}
	return `"` + strings.ReplaceAll(*s, `"`, `\"`) + `"`
}

// when is a time in ms since 1970.
func when(ms int64) string {
	if ms < 0 {
		return "-"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// Error says the damage in one line.
func (d *Damage) Error() string {
	return fmt.Sprintf("%s at %d: %s: want %s, got %s", d.Path, d.Position, d.What, d.Want, d.Got)
}

// Answer is what Inspect or Verify found, as a value for JSON and YAML and as
// rows under a header for people.
type Answer interface {
	Table() (header []string, rows [][]string)
}

// Table implements Answer: a row a log, and one for each thing that no hash
// covers.
func (reports Reports) Table() (header []string, rows [][]string) {
	for i := range reports {
		r := &reports[i]
		found := "-"
		if r.Damage != nil {
			found = r.Damage.Error()
		}
		rows = append(rows, []string{r.Path, string(r.State), strconv.Itoa(r.Segments), number(r.Frames), number(r.Batches), number(r.Records), number(r.Bytes), found})
		for _, room := range r.Room {
			rows = append(rows, []string{room.Path, "not covered", "", "", "", "", number(room.Bytes), fmt.Sprintf("at %d: %s", room.Position, room.What)})
		}
		for _, name := range r.Unnamed {
			rows = append(rows, []string{name, "not covered", "", "", "", "", "", "a file that the manifest does not name"})
		}
	}
	return []string{"PATH", "STATE", "SEGMENTS", "FRAMES", "BATCHES", "RECORDS", "BYTES", "FOUND"}, rows
}

// Table implements Answer: a row a segment.
func (logs Logs) Table() (header []string, rows [][]string) {
	for i := range logs {
		for j := range logs[i].Segments {
			s := &logs[i].Segments[j]
			state, index := "active", "in memory"
			if s.Sealed {
				state, index = "sealed", fmt.Sprintf("%d rows at %d", s.IndexRows, s.IndexPosition)
			}
			if s.TornAt > 0 {
				state = fmt.Sprintf("torn at %d", s.TornAt)
			}
			var terms []string
			for _, t := range s.Terms {
				terms = append(terms, fmt.Sprintf("%d@%d", t.Term, t.FirstIndex))
			}
			rows = append(rows, []string{s.Path, state, number(int64(s.ID)), fmt.Sprintf("%08x", s.Salt),
				fmt.Sprintf("%d-%d", s.BaseIndex, s.LastIndex), fmt.Sprintf("%d-%d", s.BaseOffset, s.NextOffset), number(int64(s.Frames)), number(s.Bytes),
				when(s.MaxTimestamp), strings.Join(terms, ","), number(int64(s.CheckpointBytes)), index, s.Problem})
		}
	}
	return []string{"PATH", "STATE", "ID", "SALT", "INDEX", "OFFSET", "FRAMES", "BYTES", "MAX TIMESTAMP", "TERMS", "CHECKPOINT", "TABLE", "PROBLEM"}, rows
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// Print is Dump to a writer, one line each: text for people ("table") or a
// JSON object ("json").
func Print(ctx context.Context, w io.Writer, name string, o Options, form string) error {
	if form != "table" && form != "json" {
		return usage("--output %s: dump wants table or json", form)
	}
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	err := Dump(ctx, name, o, func(l Line) error {
		if form == "json" {
			return encoder.Encode(l)
		}
		_, err := fmt.Fprintln(out, l)
		return err
	})
	return errors.Join(err, out.Flush())
}
