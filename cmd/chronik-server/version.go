package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// featureLevel is what this build can do: two builds of the same level can be
// in one cluster without either noticing.
const featureLevel = "v0.1"

// buildVersion says which build this is.
type buildVersion struct {
	FeatureLevel string `json:"feature_level" yaml:"feature_level"`
	Revision     string `json:"revision" yaml:"revision"` // "unknown" when built without version control
	Modified     bool   `json:"modified" yaml:"modified"` // built from a tree with changes
	Time         string `json:"time" yaml:"time"`         // of the revision
	Go           string `json:"go" yaml:"go"`
	Platform     string `json:"platform" yaml:"platform"`
}

func readBuildVersion() buildVersion {
	v := buildVersion{FeatureLevel: featureLevel, Revision: "unknown", Time: "unknown",
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		case "vcs.time":
			v.Time = s.Value
		}
	}
	return v
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the feature level and what this program was built from",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := readBuildVersion()
			revision := v.Revision
			if v.Modified {
				revision += " (modified)"
			}
			return a.print(cmd.OutOrStdout(), []string{"FEATURE LEVEL", "REVISION", "TIME", "GO", "PLATFORM"},
				[][]string{{v.FeatureLevel, revision, v.Time, v.Go, v.Platform}}, v)
		},
	}
	a.addOutputFlag(cmd)
	return cmd
}
