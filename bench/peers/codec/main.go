package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "codec:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) (err error) {
	f := flag.NewFlagSet("codec", flag.ContinueOnError)
	f.SetOutput(stderr)
	rounds := f.Int("rounds", 61, "how often it goes round the contenders of a row")
	slice := f.Duration("slice", 5*time.Millisecond, "time for a contender in a round")
	only := f.String("only", "", "rows whose name contains this")
	out := f.String("out", "", "also write to this file")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 || *slice <= 0 || f.NArg() > 0 {
		return errors.New("want at least one round, a time, and no other arguments")
	}
	w := stdout
	if *out != "" {
		file, err := os.Create(*out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		w = io.MultiWriter(stdout, file)
	}
	t := &table{w: w}
	t.head(*rounds, *slice)
	for _, r := range rows() {
		if !strings.Contains(r.name, *only) {
			continue
		}
		all, err := r.contenders()
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		results, err := measure(all, *rounds, *slice)
		for _, c := range all {
			if c.close != nil {
				err = errors.Join(err, c.close())
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		t.add(r, results)
	}
	t.summary()
	return t.err
}
