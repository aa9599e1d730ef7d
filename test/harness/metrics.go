package harness

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Metrics is one scrape: samples by the name of their series.
type Metrics map[string][]Sample

// Sample is one line of a scrape.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Scrape reads this node's /metrics.
func (b *Broker) Scrape() (Metrics, error) {
	client := http.Client{Timeout: askMax}
	resp, err := client.Get(b.HTTP + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("node %d: /metrics: %s", b.ID, resp.Status)
	}
	return ParseMetrics(string(text))
}

// ParseMetrics reads Prometheus' text format.
func ParseMetrics(text string) (Metrics, error) {
	m := Metrics{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, labels, value, err := parseSample(line)
		if err != nil {
			return nil, fmt.Errorf("%w: %q", err, line)
		}
		m[name] = append(m[name], Sample{labels, value})
	}
	return m, nil
}

func parseSample(line string) (name string, labels map[string]string, value float64, err error) {
	end := strings.IndexAny(line, "{ ")
	if end < 0 {
		return "", nil, 0, fmt.Errorf("no value")
	}
	name, rest := line[:end], line[end:]
	labels = map[string]string{}
	if rest[0] == '{' {
		rest = rest[1:]
		for !strings.HasPrefix(rest, "}") {
			key, quoted, ok := strings.Cut(strings.TrimLeft(rest, ", "), "=")
			if !ok {
				return "", nil, 0, fmt.Errorf("no label")
			}
			prefix, err := strconv.QuotedPrefix(quoted)
			if err != nil {
				return "", nil, 0, err
			}
			if labels[key], err = strconv.Unquote(prefix); err != nil {
				return "", nil, 0, err
			}
			rest = strings.TrimLeft(quoted[len(prefix):], ", ")
		}
		rest = rest[1:]
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return "", nil, 0, fmt.Errorf("no value")
	}
	value, err = strconv.ParseFloat(fields[0], 64)
	return name, labels, value, err
}

// Each calls f for the samples of a series that bear the labels, name value name value.
func (m Metrics) Each(series string, f func(Sample), labels ...string) {
next:
	for _, s := range m[series] {
		for i := 0; i < len(labels); i += 2 {
			if s.Labels[labels[i]] != labels[i+1] {
				continue next
			}
		}
		f(s)
	}
}

// Value is that of the only sample of a series that bears the labels.
func (m Metrics) Value(series string, labels ...string) (value float64, err error) {
	n := 0
	m.Each(series, func(s Sample) { n++; value = s.Value }, labels...)
	if n != 1 {
		return 0, fmt.Errorf("%s%q: %d samples, want one", series, labels, n)
	}
	return value, nil
}

// Sum adds up the samples of a series that bear the labels.
func (m Metrics) Sum(series string, labels ...string) (sum float64) {
	m.Each(series, func(s Sample) { sum += s.Value }, labels...)
	return sum
}

// ScrapeAll scrapes every node that serves, by node id.
func (c *Cluster) ScrapeAll() (map[int32]Metrics, error) {
	all := map[int32]Metrics{}
	for _, b := range c.Serving() {
		m, err := b.Scrape()
		if err != nil {
			return nil, err
		}
		all[b.ID] = m
	}
	return all, nil
}

// AwaitMetric polls this node until the only sample of a series that bears the labels is as wanted.
func (b *Broker) AwaitMetric(limit time.Duration, series string, want func(float64) bool, labels ...string) error {
	deadline := time.Now().Add(limit)
	for {
		m, err := b.Scrape()
		value := 0.0
		if err == nil {
			value, err = m.Value(series, labels...)
		}
		if err == nil && want(value) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("node %d: %s%q is %v after %v (%v)", b.ID, series, labels, value, limit, err)
		}
		time.Sleep(20 * time.Millisecond) // polling step
	}
}
