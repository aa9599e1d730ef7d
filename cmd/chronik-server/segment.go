package main

import (
	"errors"

	"chronik/wal/inspect"

	"github.com/spf13/cobra"
)

func (a *app) segmentCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "segment", Short: "Look into the files of logs, also beside a running broker; they are never written to", Args: unknownCommand, RunE: needSubcommand}
	var o inspect.Options
	show := a.segmentVerb("inspect", "Describe segments: ranges, terms, checkpoint, table", func(cmd *cobra.Command, name string) (inspect.Answer, error) {
		return inspect.Inspect(cmd.Context(), name, o)
	})
	against := ""
	verify := a.segmentVerb("verify", "Check every frame and record batch", func(cmd *cobra.Command, name string) (inspect.Answer, error) {
		if against == "" {
			return inspect.Verify(cmd.Context(), name, o)
		}
		if c, err := inspect.Compare(cmd.Context(), name, against, o); c != nil {
			return c, err
		} else {
			return nil, err
		}
	})
	verify.Long = verify.Short + ", and print the first damage of each log.\nStatus 1 for corruption and for what a newer release wrote; a torn tail is reported with status 0: the next start cuts it."
	verify.Flags().BoolVar(&o.FramesOnly, "frames-only", false, "Do not look for record batches in the frames")
	verify.Flags().StringVar(&against, "against", "", "Compare with another copy of the same log or segment, frame by frame; status 1 if they differ")
	dump := a.segmentVerb("dump", "Print frames, one a line (table or json)", func(cmd *cobra.Command, name string) (inspect.Answer, error) {
		return nil, inspect.Print(cmd.Context(), cmd.OutOrStdout(), name, o, a.output)
	})
	dump.Flags().BoolVar(&o.Records, "records", false, "Print record batches and records too")
	dump.Flags().Int64Var(&o.From, "from", 0, "The first offset to print")
	dump.Flags().Int64Var(&o.To, "to", 0, "The offset to end before (default the log's end)")
	cmd.AddCommand(show, verify, dump, a.segmentRepairCommand())
	return cmd
}

func (a *app) segmentVerb(verb, short string, run func(*cobra.Command, string) (inspect.Answer, error)) *cobra.Command {
	cmd := &cobra.Command{Use: verb + " FILE|DIR", Short: short, Args: exactly("FILE|DIR"), RunE: func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(a.output); err != nil {
			return err
		}
		answer, err := run(cmd, args[0])
		if errors.Is(err, inspect.ErrUsage) {
			return usageError{err}
		}
		if answer != nil {
			header, rows := answer.Table()
			err = errors.Join(a.print(cmd.OutOrStdout(), header, rows, answer), err)
		}
		return err
	}}
	a.addOutputFlag(cmd)
	return cmd
}
