package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// The counts that the data must have; they were counted by hand once, so that a changed package is noticed.
const (
	flightCount     = 200_000
	earthquakeCount = 1_707
	packageVersion  = "3.2.1"
)

// dataset is one topic's worth of records.
type dataset struct {
	label      string
	topic      string
	partitions int32
	items      []item
}

// item is one record to produce. Time is zero when the data has none.
type item struct {
	key, value []byte
	time       time.Time
}

func (d dataset) bytes() (n int64) {
	for _, i := range d.items {
		n += int64(len(i.key) + len(i.value))
	}
	return n
}

// sourceDir is the directory of this program's source, where npm keeps node_modules.
func sourceDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

// loadAll installs the package if need be and reads both files.
func loadAll(ctx context.Context) ([]dataset, error) {
	dir, err := install(ctx)
	if err != nil {
		return nil, err
	}
	run := fmt.Sprintf("%x", time.Now().UnixNano()) // topics of this run only
	flights, err := loadFlights(filepath.Join(dir, "data", "flights-200k.json"))
	if err != nil {
		return nil, err
	}
	quakes, err := loadEarthquakes(filepath.Join(dir, "data", "earthquakes.json"))
	if err != nil {
		return nil, err
	}
	sets := []dataset{
		{"flights", "demo-flights-" + run, 6, flights},
		{"earthquakes", "demo-earthquakes-" + run, 3, quakes},
	}
	for i, want := range []int{flightCount, earthquakeCount} {
		if n := len(sets[i].items); n != want {
			return nil, fmt.Errorf("%s: %d records, want %d", sets[i].label, n, want)
		}
	}
	return sets, nil
}

// install runs npm unless the wanted version is there, and returns the package's directory.
func install(ctx context.Context) (string, error) {
	dir := filepath.Join(sourceDir(), "node_modules", "vega-datasets")
	var have struct{ Version string }
	if b, err := os.ReadFile(filepath.Join(dir, "package.json")); err == nil && json.Unmarshal(b, &have) == nil && have.Version == packageVersion {
		return dir, nil
	}
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-package-lock", "--no-fund", "--no-audit", "--loglevel=error")
	cmd.Dir = sourceDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return dir, nil
}

// loadFlights keys each flight by its distance in miles; the value is the flight as JSON.
func loadFlights(path string) ([]item, error) {
	raws, err := decode[[]json.RawMessage](path)
	if err != nil {
		return nil, err
	}
	items := make([]item, 0, len(raws))
	for i, raw := range raws {
		var f struct {
			Distance *int `json:"distance"`
		}
		if err := json.Unmarshal(raw, &f); err != nil || f.Distance == nil {
			return nil, fmt.Errorf("%s: flight %d: %s: %w", path, i, raw, err)
		}
		items = append(items, item{key: fmt.Appendf(nil, "%d", *f.Distance), value: raw})
	}
	return items, nil
}

// loadEarthquakes keys each earthquake by the network that reported it and gives the record the earthquake's time.
func loadEarthquakes(path string) ([]item, error) {
	doc, err := decode[struct {
		Features []json.RawMessage `json:"features"`
	}](path)
	if err != nil {
		return nil, err
	}
	items := make([]item, 0, len(doc.Features))
	for i, raw := range doc.Features {
		var f struct {
			Properties struct {
				Net  string `json:"net"`
				Time int64  `json:"time"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(raw, &f); err != nil || f.Properties.Net == "" {
			return nil, fmt.Errorf("%s: earthquake %d: %s: %w", path, i, raw, err)
		}
		items = append(items, item{key: []byte(f.Properties.Net), value: raw, time: time.UnixMilli(f.Properties.Time)})
	}
	return items, nil
}

func decode[T any](path string) (T, error) {
	var v T
	b, err := os.ReadFile(path)
	if err != nil {
		return v, err
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&v); err != nil {
		return v, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}
