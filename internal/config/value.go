package config

import (
	"fmt"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is a field of Config that can be set from text and shown as text. The
// error of set says what would be right, without naming the setting.
type value interface {
	set(text string) error
	show() string
	// kind is the TOML type that the file has to use.
	kind() string
}

type intValue struct {
	p        *int
	min, max int
}

func (v intValue) kind() string { return "integer" }
func (v intValue) show() string { return strconv.Itoa(*v.p) }
func (v intValue) set(text string) error {
	n, err := parseInt(text, int64(v.min), int64(v.max))
	if err == nil {
		*v.p = int(n)
	}
	return err
}

func parseInt(text string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err == nil && n >= low && n <= high:
		return n, nil
	case high == math.MaxInt32:
		return 0, fmt.Errorf("want a whole number, %d or more", low)
	default:
		return 0, fmt.Errorf("want a whole number from %d to %d", low, high)
	}
}

type boolValue struct{ p *bool }

func (v boolValue) kind() string { return "boolean" }
func (v boolValue) show() string { return strconv.FormatBool(*v.p) }
func (v boolValue) set(text string) error {
	switch text {
	case "true", "1":
		*v.p = true
	case "false", "0":
		*v.p = false
	default:
		return fmt.Errorf("want true or false")
	}
	return nil
}

// stringValue is text of a certain form; a nil check takes any.
type stringValue struct {
	p     *string
	check func(string) error
}

func (v stringValue) kind() string { return "string" }
func (v stringValue) show() string { return *v.p }
func (v stringValue) set(text string) error {
	if v.check != nil {
		if err := v.check(text); err != nil {
			return err
		}
	}
	*v.p = text
	return nil
}

// oneOf is the check of a word out of few.
func oneOf(words ...string) func(string) error {
	return func(text string) error {
		if slices.Contains(words, text) {
			return nil
		}
		return fmt.Errorf("want %s or %s", strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
	}
}

var versionForm = regexp.MustCompile(`^v[0-9]+\.[0-9]+$`)

func featureLevel(text string) error {
	if text != "" && !versionForm.MatchString(text) {
		return fmt.Errorf("want a feature level as v1.2")
	}
	return nil
}

// hostPort is the check of host:port.
func hostPort(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err == nil && host != "" {
		if _, err = parseInt(port, 0, math.MaxUint16); err == nil {
			return nil
		}
	}
	return fmt.Errorf("want host:port, as 10.0.0.1:5001")
}

// reachable is the check of host:port that others connect to.
func reachable(text string) error {
	if hostPort(text) != nil || strings.HasSuffix(text, ":0") {
		return fmt.Errorf("want host:port, as node1.example.org:5001")
	}
	return nil
}

// host is the check of a host name or address that stands without a port.
func host(text string) error {
	if text == "" || strings.ContainsAny(text, " /\t") ||
		(strings.Contains(text, ":") && net.ParseIP(strings.Trim(text, "[]")) == nil) {
		return fmt.Errorf("want a host name or an address without a port")
	}
	return nil
}

// optionalHost is the check of host or host:port; the port is read in resolve.
func optionalHost(text string) error {
	if text == "" || host(text) == nil || hostPort(text) == nil {
		return nil
	}
	return fmt.Errorf("want host or host:port, as broker1.example.org:9092")
}

// durationValue is a duration that the file gives as a number of units, as its
// key's last word says (_ms, _secs).
type durationValue struct {
	p    *time.Duration
	unit time.Duration
	min  int64
}

func (v durationValue) kind() string { return "integer" }
func (v durationValue) show() string { return strconv.FormatInt(int64(*v.p/v.unit), 10) }
func (v durationValue) set(text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < v.min || n > math.MaxInt32 {
		name := map[time.Duration]string{time.Millisecond: "milliseconds", time.Second: "seconds"}[v.unit]
		return fmt.Errorf("want a whole number of %s, %d to %d", name, v.min, math.MaxInt32)
	}
	*v.p = time.Duration(n) * v.unit
	return nil
}

// spanValue is a duration written with its unit, as 5s.
type spanValue struct{ p *time.Duration }

func (v spanValue) kind() string { return "string" }
func (v spanValue) show() string { return v.p.String() }
func (v spanValue) set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("want a positive duration with its unit, as 5s or 500ms")
	}
	*v.p = d
	return nil
}

// peersValue is a list of id@host:port.
type peersValue struct{ p *[]Peer }

func (v peersValue) kind() string { return "peers" }

func (v peersValue) show() string {
	parts := make([]string, len(*v.p))
	for i, peer := range *v.p {
		parts[i] = fmt.Sprintf("%d@%s", peer.ID, peer.Addr)
	}
	return strings.Join(parts, ",")
}

func (v peersValue) set(text string) error {
	peers := []Peer{}
	for part := range strings.SplitSeq(text, ",") {
		if text == "" {
			break
		}
		id, addr, ok := strings.Cut(strings.TrimSpace(part), "@")
		n, err := parseInt(id, 1, math.MaxInt32)
		if !ok || err != nil || reachable(addr) != nil {
			return fmt.Errorf("want id@host:port,... as 2@node2:5002,3@node3:5003; %q is not of that form", part)
		}
		if slices.ContainsFunc(peers, func(p Peer) bool { return p.ID == int(n) }) {
			return fmt.Errorf("node id %d stands there twice; every node has its own", n)
		}
		peers = append(peers, Peer{ID: int(n), Addr: addr})
	}
	*v.p = peers
	return nil
}

// kafkaValue is a key of ours that stands for one of Kafka's broker settings.
// Its value is checked and kept where that setting's is.
type kafkaValue struct {
	standIns map[string]string
	name     string
	tomlKind string
}

func (v kafkaValue) kind() string          { return v.tomlKind }
func (v kafkaValue) show() string          { return v.standIns[v.name] }
func (v kafkaValue) set(text string) error { v.standIns[v.name] = text; return nil }
