package main

import (
	"fmt"
	"os"

	kafkaconfig "chronik/broker/config"
	"chronik/internal/config"
)

// load reads the configuration for a subcommand ("" or config.RaftCluster).
// Its errors are the user's.
func (a *app) load(command string) (*config.Config, error) {
	c, err := config.Load(config.Input{
		Command:  command,
		File:     a.file,
		Flags:    a.flags,
		Sets:     a.sets,
		Environ:  a.environ,
		Hostname: os.Hostname,
		CheckKafka: func(name, value string) error {
			return kafkaconfig.CheckStatic(map[string]string{name: value})
		},
	})
	if err != nil {
		return nil, usageError{err}
	}
	// Each setting is valid; whether they go together is seen with all.
	if err := kafkaconfig.CheckStatic(c.Kafka); err != nil {
		return nil, usageError{err}
	}
	for _, name := range kafkaconfig.Inert(c.Kafka) {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s (%s) is reported to clients and has no other effect here", name, c.Origin["kafka."+name]))
	}
	return c, nil
}

// kafkaReference documents Kafka's broker settings that can be given.
func kafkaReference() []config.KafkaSetting {
	var rows []config.KafkaSetting
	for _, s := range kafkaconfig.BrokerSettings() {
		if s.Flag != "" {
			continue
		}
		row := config.KafkaSetting{Name: s.Name, Type: s.Type.String(), Default: s.Default, Doc: s.Doc}
		if !s.Acts {
			row.Doc += " *Reported only.*"
		}
		rows = append(rows, row)
	}
	return rows
}
