package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	if child, err := filling(); child {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "peers:", err)
		}
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	sizes, batches, logs []int
	limits               limits
	readBytes            int64
	recoverBytes         int64
	recoverRounds        int
	check                bool
	shared               shared
}

func run(args []string, stdout, stderr io.Writer) (err error) {
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(stderr)
	dir := f.String("dir", "", "directory on the disk to measure, made anew below; default: the temporary directory")
	cell := f.Duration("time", time.Second, "time for each contender of a row")
	sizes := f.String("sizes", "128,1KiB,4KiB,16KiB,64KiB,1MiB", "payload sizes")
	logs := f.String("logs", "1,16,64,256", "how many logs at once")
	only := f.String("only", "", "rows whose name contains this")
	recoverBytes := f.String("recover-bytes", "1GiB", "payload bytes of the logs that are opened")
	quick := f.Bool("quick", false, "a smoke run: a few operations a row, and everything is read back and compared")
	out := f.String("out", "", "write NAME.txt and NAME.svg")
	if err := f.Parse(args); err != nil {
		return err
	}
	b := &bench{batches: []int{1, 64}, readBytes: 64 << 20, recoverRounds: 3,
		limits: limits{slices: 5, time: *cell / 5, bytes: 256 << 20, opsLeast: 3, opsMost: 1 << 30, settle: true}}
	if *quick {
		b.quick()
		*sizes, *logs, *recoverBytes = "128,4KiB,1MiB", "1,5", "4MiB"
	}
	b.sizes, err = parseSizes(*sizes)
	if err == nil {
		b.logs, err = parseSizes(*logs)
	}
	var n []int
	if err == nil {
		n, err = parseSizes(*recoverBytes)
	}
	if err != nil {
		return err
	}
	b.recoverBytes = int64(n[0]) / (1 << 20) * (1 << 20)
	tmp, err := os.MkdirTemp(*dir, "peers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	defer b.shared.close()
	return b.report(tmp, *only, *out, stdout, stderr)
}

func (b *bench) quick() {
	b.limits = limits{slices: 2, time: time.Minute, bytes: 64 << 20, opsLeast: 1, opsMost: 4}
	b.readBytes, b.recoverRounds, b.check = 4<<20, 1, true
}

// report runs the rows and writes the table as it goes, and the plot at the end.
func (b *bench) report(dir, only, out string, stdout, stderr io.Writer) error {
	w := stdout
	if out != "" {
		f, err := os.Create(out + ".txt")
		if err != nil {
			return err
		}
		defer f.Close()
		w = io.MultiWriter(stdout, f)
	}
	t := &table{w: w}
	t.head(b)
	for i, r := range b.rows() {
		if !strings.Contains(r.name(), only) {
			continue
		}
		d := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
		results, err := r.run(b, d)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name(), err)
		}
		t.add(r, results)
		if err := os.RemoveAll(d); err != nil {
			return err
		}
	}
	t.summary()
	if t.err != nil || out == "" {
		return t.err
	}
	return os.WriteFile(out+".svg", t.plot(), 0o644)
}

// parseSizes reads numbers with or without KiB, MiB and GiB.
func parseSizes(text string) ([]int, error) {
	var out []int
	for _, word := range strings.Split(text, ",") {
		number, shift := word, 0
		for i, unit := range []string{"KiB", "MiB", "GiB"} {
			if strings.HasSuffix(word, unit) {
				number, shift = strings.TrimSuffix(word, unit), 10*(i+1)
			}
		}
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no size", word)
		}
		out = append(out, n<<shift)
	}
	return out, nil
}

func sizeName(n int) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%dGiB", n>>30)
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

func bytesName(n int64) string { return sizeName(int(n)) }

func syncName(sync bool) string {
	if sync {
		return "synced"
	}
	return "unsynced"
}
