package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronik/kafka/msg"
)

// TestQuick runs every row with every contender for a moment: each checks what
// it reads and writes while its row is prepared.
func TestQuick(t *testing.T) {
	var out, diag bytes.Buffer
	name := filepath.Join(t.TempDir(), "codec.txt")
	if err := run([]string{"-rounds", "1", "-slice", "10us", "-out", name}, &out, &diag); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), diag.String())
	}
	rows, summary, ok := strings.Cut(out.String(), "\nHow much longer")
	if !ok {
		t.Fatalf("no summary in\n%s", out.String())
	}
	measured := 0
	for block := range strings.SplitSeq(rows, "\n\n") {
		if strings.HasPrefix(block, "#") {
			continue
		}
		measured++
		title, _, _ := strings.Cut(block, ", ")
		for _, codec := range []string{"\n  chronik ", "\n  kmsg, "} {
			if !strings.Contains(block, codec) {
				t.Errorf("%s: no line of %q", title, codec)
			}
		}
		if strings.HasPrefix(title, "client: decode Metadata") && !strings.Contains(block, "\n  sarama ") {
			t.Errorf("%s: no sarama", title)
		}
	}
	if lines := strings.Count(summary, "\n  ") - 1; measured != rowCount || lines != measured {
		t.Errorf("%d rows and %d lines in the summary, want %d of each", measured, lines, rowCount)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != out.String() {
		t.Errorf("the file has %d bytes, %d were printed (%v)", len(text), out.Len(), err)
	}
	for _, args := range [][]string{{"-rounds", "0"}, {"-slice", "0"}, {"more"}, {"-what"}} {
		if err := run(args, &out, &diag); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

var rowCount = len(rows())

// TestSummary holds what a ratio is of.
func TestSummary(t *testing.T) {
	var out bytes.Buffer
	results := []result{
		{contender: contender{codec: "chronik"}, time: 100_000},
		{contender: contender{codec: "chronik", way: "new", fresh: true}, time: 400_000},
		{contender: contender{codec: "kmsg", way: "reused"}, time: 250_000},
		{contender: contender{codec: "kmsg", way: "new", fresh: true}, time: 600_000},
		{contender: contender{codec: "sarama", fresh: true}, time: 900_000},
	}
	for goal, want := range map[float64]string{0: "\n", 2: "2, met\n", 3: "3, NOT met\n"} {
		out.Reset()
		tab := &table{w: &out}
		tab.add(row{name: "some work", bytes: 1000, goal: goal}, results)
		tab.summary()
		// 100 ns; 250/100, 600/400, 900/100
		if line := strings.Join(strings.Fields(out.String()[strings.LastIndex(out.String(), "  some work"):]), " "); line !=
			strings.TrimSpace("some work 100.0 0.00 2.50 1.50 9.00 "+strings.TrimSpace(want)) {
			t.Errorf("goal %v: %q", goal, line)
		}
		if !strings.Contains(out.String(), "chronik                         100.0    10000.0      2.50") {
			t.Errorf("1,000 bytes in 100 ns are not 10,000 MB/s:\n%s", out.String())
		}
	}
}

// TestMeasure holds that each contender gets its rounds, that garbage is
// counted, and that an error ends it all.
func TestMeasure(t *testing.T) {
	var sink [][]byte
	calls := 0
	results, err := measure([]contender{
		{codec: "chronik", op: func() error { calls++; return nil }},
		{codec: "kmsg", op: func() error { sink = append(sink[:0], make([]byte, 4096)); return nil }},
	}, 3, 100*time.Microsecond)
	if err != nil || len(results) != 2 || calls < 4 {
		t.Fatalf("%d results, %d calls, %v", len(results), calls, err)
	}
	if r := results[1]; r.allocs < 0.9 || r.bytes < 4000 {
		t.Errorf("%.2f allocations of %.0f bytes", r.allocs, r.bytes)
	}
	broken := errors.New("broken")
	if _, err := measure([]contender{{op: func() error { return broken }}}, 1, time.Millisecond); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// TestBody holds that a message on which the codecs disagree is not measured.
func TestBody(t *testing.T) {
	if b, err := body(produceRequest(), 9, true); err != nil || len(b) < 10_000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	// A response is no request: kmsg's struct of the request cannot read it.
	if _, err := body(new(msg.MetadataResponse), 12, true); err == nil {
		t.Error("a response passes for a request")
	}
}
