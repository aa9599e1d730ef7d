package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

func (a *app) addOutputFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.output, "output", "o", "table", "table, json or yaml")
}

// checkOutput refuses a form that print does not know, before anything is done.
func checkOutput(form string) error {
	if form == "table" || form == "json" || form == "yaml" {
		return nil
	}
	return usagef("--output %s: want table, json or yaml", form)
}

// print writes an answer in the form that -o asks for: rows under a header, or
// the value they were made from.
func (a *app) print(w io.Writer, header []string, rows [][]string, value any) error {
	switch a.output {
	case "table":
		table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, strings.Join(header, "\t"))
		for _, row := range rows {
			fmt.Fprintln(table, strings.Join(row, "\t"))
		}
		return table.Flush()
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	case "yaml":
		encoder := yaml.NewEncoder(w)
		encoder.SetIndent(2)
		if err := encoder.Encode(value); err != nil {
			return err
		}
		return encoder.Close()
	}
	return checkOutput(a.output)
}
