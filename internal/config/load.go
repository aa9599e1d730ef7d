package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// DefaultFile is the file that is read, if it is there, when none is named.
const DefaultFile = "chronik.toml"

// Input is where a configuration comes from.
type Input struct {
	// Command is "" for a standalone node or RaftCluster.
	Command string
	// File is the value of --config, "" if it was not given.
	File string
	// Flags are the flags that were given, by their names without dashes.
	Flags map[string]string
	// Sets are the values of --set, each name=value.
	Sets []string
	// Environ is the environment, as os.Environ tells it.
	Environ []string
	// Hostname tells the name of this host, as os.Hostname does.
	Hostname func() (string, error)
	// CheckKafka says what is wrong with a broker setting of Kafka's; its error
	// names the setting or value that would be right. Nil takes anything.
	CheckKafka func(name, value string) error
}

// Load reads the configuration: defaults, the file, the environment, flags,
// each over the one before. Every error is the user's to put right, and one
// line.
func Load(in Input) (*Config, error) {
	l := loader{in: in, env: map[string]string{}, c: &Config{
		Origin: map[string]string{}, Kafka: map[string]string{}, standIns: map[string]string{}}}
	for _, pair := range in.Environ {
		if name, value, ok := strings.Cut(pair, "="); ok && strings.HasPrefix(name, "CHRONIK_") && value != "" {
			l.env[name] = value
		}
	}
	for _, step := range []func() error{l.defaults, l.file, l.environment, l.flags, l.sets, l.resolve} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return l.c, nil
}

type loader struct {
	in  Input
	env map[string]string
	c   *Config
}

func (l *loader) defaults() error {
	l.c.Server.MetricsPort = -1
	for i := range settings {
		s := &settings[i]
		l.c.Origin[s.name()] = "default"
		if s.def == "" || s.kafka != "" {
			continue
		}
		if err := s.bind(l.c).set(s.def); err != nil {
			panic("BUG: the default of " + s.name() + ": " + err.Error())
		}
	}
	return nil
}

// set gives a setting a value from `origin`; as is how the user wrote it.
func (l *loader) set(s *setting, text, origin, as string) error {
	err := s.bind(l.c).set(text)
	if err == nil && s.kafka != "" && l.in.CheckKafka != nil {
		err = l.in.CheckKafka(s.kafka, text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", as, err)
	}
	l.c.Origin[s.name()] = origin
	return nil
}

func (l *loader) setKafka(name, text, origin, as string) error {
	if l.in.CheckKafka != nil {
		if err := l.in.CheckKafka(name, text); err != nil {
			return fmt.Errorf("%s: %w", as, err)
		}
	}
	l.c.Kafka[name] = text
	l.c.Origin["kafka."+name] = origin
	return nil
}

func (l *loader) file() error {
	name, origin := DefaultFile, ""
	if l.env["CHRONIK_CONFIG"] != "" {
		name, origin = l.env["CHRONIK_CONFIG"], "CHRONIK_CONFIG="+l.env["CHRONIK_CONFIG"]
	}
	if l.in.File != "" {
		name, origin = l.in.File, "--config "+l.in.File
	}
	data, err := os.ReadFile(name)
	switch {
	case errors.Is(err, os.ErrNotExist) && origin == "":
		return nil
	case err != nil && origin == "":
		return fmt.Errorf("%s: %w; make it readable, or name another file with --config", name, reason(err))
	case err != nil:
		return fmt.Errorf("%s: %w; want a TOML file that can be read", origin, reason(err))
	}
	entries, err := parseFile(name, data)
	if err != nil {
		return err
	}
	l.c.File = name
	return l.entries(name, entries)
}

// reason is what the system said, without the path, which stands before it.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func (l *loader) entries(file string, entries []entry) error {
	var peers []entry
	for _, e := range entries {
		at := fmt.Sprintf("%s:%d", file, e.line)
		name := e.name()
		s := find(name)
		var err error
		switch {
		case notBuilt[e.path[0]] != "":
			err = fmt.Errorf("%s: [%s]: %s; remove the table", at, e.path[0], notBuilt[e.path[0]])
		case e.path[0] == "kafka":
			err = l.kafkaEntry(e, at)
		case name == "cluster.peers" && e.kind != "string", strings.HasPrefix(name, "cluster.peers[") ||
			strings.HasPrefix(name, "cluster.peers."):
			peers = append(peers, e)
		case e.kind == "table" && isTable(name):
		case s == nil:
			err = fmt.Errorf("%s: unknown %s; did you mean %s?", at, described(e), nearestSetting(e))
		case e.kind != s.bind(l.c).kind() && s.key != "peers":
			err = fmt.Errorf("%s: %s is %s here; want %s", at, name, article(e.kind), form(s, e))
		default:
			err = l.set(s, e.text, at, fmt.Sprintf("%s: %s = %s", at, name, quoted(e)))
		}
		if err != nil {
			return err
		}
	}
	return l.peers(file, peers)
}

func described(e entry) string {
	if e.kind == "table" {
		return "table [" + e.name() + "]"
	}
	return "key " + e.name()
}

// form shows how a value that has the wrong type would be written right.
func form(s *setting, e entry) string {
	switch kind := s.bind(&Config{}).kind(); {
	case kind == "string":
		return fmt.Sprintf("a string: %s = %q", s.key, e.text)
	case kind == "boolean":
		return fmt.Sprintf("a boolean without quotes: %s = true", s.key)
	case s.def != "":
		return fmt.Sprintf("an integer without quotes: %s = %s", s.key, s.def)
	default:
		return "an integer without quotes"
	}
}

func quoted(e entry) string {
	if e.kind == "string" {
		return fmt.Sprintf("%q", e.text)
	}
	return e.text
}

func (l *loader) kafkaEntry(e entry, at string) error {
	if e.kind == "table" {
		return nil // a dotted key may be written as tables
	}
	name := strings.Join(e.path[1:], ".")
	if name == "" || e.kind == "array" || e.kind == "date or time" {
		return fmt.Errorf("%s: %s is %s; want [kafka] with lines as \"num.partitions\" = 3", at, e.name(), article(e.kind))
	}
	return l.setKafka(name, e.text, at, fmt.Sprintf("%s: [kafka] %q = %s", at, name, quoted(e)))
}

func (l *loader) environment() error {
	known := []string{"CHRONIK_CONFIG"}
	for i := range settings {
		s := &settings[i]
		if s.env == "" {
			continue
		}
		known = append(known, s.env)
		if text, ok := l.env[s.env]; ok {
			if err := l.set(s, text, s.env, s.env+"="+text); err != nil {
				return err
			}
		}
	}
	for name := range l.env {
		// Other programs may have variables of that beginning; only what looks
		// like a slip is worth a word.
		if near := Nearest(name, known); name != near && editDistance(name, near) <= 3 {
			l.c.Warnings = append(l.c.Warnings,
				fmt.Sprintf("%s in the environment means nothing; did you mean %s?", name, near))
		}
	}
	slices.Sort(l.c.Warnings)
	return nil
}

func (l *loader) flags() error {
	for i := range settings {
		s := &settings[i]
		if text, ok := l.in.Flags[s.flag]; ok && s.flag != "" {
			if err := l.set(s, text, "--"+s.flag, "--"+s.flag+" "+text); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loader) sets() error {
	for _, pair := range l.in.Sets {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return fmt.Errorf("--set %s: want name=value, as --set num.partitions=3", pair)
		}
		if err := l.setKafka(strings.TrimSpace(name), strings.TrimSpace(text), "--set", "--set "+pair); err != nil {
			return err
		}
	}
	return nil
}

func article(kind string) string {
	if strings.ContainsAny(kind[:1], "aeiou") {
		return "an " + kind
	}
	return "a " + kind
}
