package config

import (
	"maps"
	"slices"
)

// Flag is a command-line flag of the table.
type Flag struct {
	Name, Short string // without dashes; Short may be ""
	Command     string // the subcommand it belongs to; "" for every one
	Env         string
	Default     string // as documented
	Doc         string
	Boolean     bool // stands without a value for true
}

// Flags are the flags of the table, in its order.
func Flags() []Flag {
	var flags []Flag
	for i := range settings {
		s := &settings[i]
		if s.flag != "" {
			flags = append(flags, Flag{Name: s.flag, Short: s.short, Command: s.command, Env: s.env,
				Default: s.documentedDefault(), Doc: s.doc, Boolean: s.bind(&Config{}).kind() == "boolean"})
		}
	}
	return flags
}

// Shown is one setting of a loaded configuration.
type Shown struct {
	Name   string `json:"name" yaml:"name"`
	Value  string `json:"value" yaml:"value"`
	Origin string `json:"origin" yaml:"origin"`
}

// Show lists the settings in effect and where each came from: those of the
// table, then Kafka's that were given.
func (c *Config) Show() []Shown {
	var shown []Shown
	for i := range settings {
		s := &settings[i]
		if s.kafka != "" {
			continue // shown under Kafka's name
		}
		shown = append(shown, Shown{s.name(), s.bind(c).show(), c.Origin[s.name()]})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Kafka)) {
		shown = append(shown, Shown{"kafka." + name, c.Kafka[name], c.Origin["kafka."+name]})
	}
	return shown
}

func (s *setting) documentedDefault() string {
	if s.defDoc != "" {
		return s.defDoc
	}
	return s.def
}
