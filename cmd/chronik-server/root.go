package main

import (
	"errors"
	"strings"
	"time"

	"chronik/internal/config"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// app is what the subcommands share: what was given on the command line.
type app struct {
	environ []string
	file    string            // --config
	flags   map[string]string // given flags of the configuration's table
	sets    []string
	output  string // -o
	server  string // --bootstrap-server
	timeout time.Duration
}

const rootLong = `Runs a Kafka-protocol broker. Without a subcommand: a node that stands alone.

SIGTERM, SIGINT and SIGHUP stop it: it hands over what it leads, finishes requests in flight, and exits with 0. Sending
one again changes nothing, but for a second SIGINT (Ctrl-C twice), which aborts at once with status 1.`

func newRoot(environ []string) *cobra.Command {
	a := &app{environ: environ, flags: map[string]string{}}
	root := &cobra.Command{
		Use:           "chronik-server",
		Short:         "A Kafka-protocol broker",
		Long:          rootLong,
		Args:          unknownCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return a.serve(cmd, "") },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	a.addFlags(root.PersistentFlags(), "")
	root.AddCommand(a.raftClusterCommand(), a.configCommand(), a.versionCommand(), a.topicCommand(), a.groupCommand(), a.clusterCommand(), a.segmentCommand(), a.protocolCommand())
	return root
}

// addFlags defines the flags of the configuration's table that belong to a
// subcommand, or for "" those that every one has, before and after its name.
func (a *app) addFlags(flags *pflag.FlagSet, command string) {
	for _, f := range config.Flags() {
		if f.Command != command {
			continue
		}
		usage := strings.ReplaceAll(strings.TrimSuffix(f.Doc, "."), "`", "")
		if f.Default != "" && f.Default != "none" {
			usage += " (default " + f.Default + ")"
		}
		defined := flags.VarPF(&textFlag{name: f.Name, into: a.flags, boolean: f.Boolean}, f.Name, f.Short, usage)
		if f.Boolean {
			defined.NoOptDefVal = "true"
		}
	}
	if command != "" {
		return
	}
	flags.StringVarP(&a.file, "config", "c", "", "The configuration file (default chronik.toml, if it is there)")
	flags.StringVar(&a.file, "cluster-config", "", "The same as --config")
	flags.StringArrayVar(&a.sets, "set", nil, "One of Kafka's broker settings, name=value; may be repeated")
}

// textFlag is a flag that package config will read: here it is text.
type textFlag struct {
	name    string
	into    map[string]string
	boolean bool
}

func (f *textFlag) Set(text string) error { f.into[f.name] = text; return nil }
func (f *textFlag) String() string        { return "" }
func (f *textFlag) Type() string {
	if f.boolean {
		return ""
	}
	return "value"
}

// flagError makes one line of what pflag says, with the nearest flag.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usageError{err}
	}
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return unknownCommand(cmd, words) // whose flags nobody knows
	}
	var known []string
	add := func(f *pflag.Flag) { known = append(known, "--"+f.Name) }
	cmd.Flags().VisitAll(add)
	given := unknown.GetSpecifiedName()
	if len(given) == 1 {
		return usagef("unknown flag -%s; `%s --help` lists those there are", given, cmd.CommandPath())
	}
	return usagef("unknown flag --%s; did you mean %s?", given, config.Nearest("--"+given, known))
}

// unknownCommand refuses words that are no subcommand.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			known = append(known, sub.Name())
		}
	}
	return usagef("unknown command %q; did you mean %q?", args[0], config.Nearest(args[0], known))
}

// needSubcommand is the RunE of commands that only group others.
func needSubcommand(cmd *cobra.Command, _ []string) error {
	var known []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			known = append(known, sub.Name())
		}
	}
	return usagef("%s: want one of %s", called(cmd), strings.Join(known, ", "))
}

// called is a command's name as it was typed, without the program's: errors
// begin with that.
func called(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// exactly is the Args of commands with a certain number of arguments.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return usagef("%s: unexpected %q; it takes no arguments", called(cmd), args[0])
		}
		return usagef("%s: %d arguments; want %s", called(cmd), len(args), strings.Join(names, " "))
	}
}

// atLeastOne is the Args of commands that take any number of names.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return nil
		}
		return usagef("%s: want %s", called(cmd), name)
	}
}
