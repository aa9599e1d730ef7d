package metrics

import (
	"fmt"
	"io"

	"github.com/prometheus/common/expfmt"
)

// ContentType is the media type of what WriteText writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// WriteText gathers every series and writes them in Prometheus' text format
// 0.0.4, families in the order of their names. What could be gathered is
// written even if the error is not nil.
//
// The format gives a histogram no sample under its bare name, and a registry
// allows no second family of that name. The plain sample of commit latency is
// therefore written by hand behind its family's last line, where every parser
// takes it: Prometheus stores it as a series of its own, expfmt and promtool
// count it to the histogram and pass over it.
func (m *Metrics) WriteText(w io.Writer) error {
	families, gatherErr := m.registry.Gather()
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return err
		}
		if family.GetName() != commitLatencyName {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s %g\n", commitLatencyName, m.Raft.CommitLatency.Median()); err != nil {
			return err
		}
	}
	return gatherErr
}
