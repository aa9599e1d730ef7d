package reference

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"chronik/broker/config"
	"chronik/kafka/handler"
	"chronik/kafka/msg"
)

//go:embed kafka.tsv
var kafkaVersions string

// release is the versions that Kafka's releases have of one API; "-" for none.
type release struct{ name, v39, v43, v44 string }

// releases reads kafka.tsv.
func releases() (map[int16]release, error) {
	out := map[int16]release{}
	for line := range strings.Lines(kafkaVersions) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			return nil, fmt.Errorf("kafka.tsv: %q has %d fields, want 5", line, len(f))
		}
		key, err := strconv.ParseInt(f[0], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("kafka.tsv: %w", err)
		}
		out[int16(key)] = release{f[1], f[2], f[3], f[4]}
	}
	return out, nil
}

// Protocol is docs/protocol.md.
func Protocol() (string, error) {
	var out strings.Builder
	out.WriteString(head)
	if err := apis(&out); err != nil {
		return "", err
	}
	out.WriteString(refusals)
	if err := records(&out); err != nil {
		return "", err
	}
	out.WriteString(framing)
	if err := limits(&out); err != nil {
		return "", err
	}
	return out.String(), nil
}

// apis writes the row of every API that the codec knows.
func apis(out *strings.Builder) error {
	kafka, err := releases()
	if err != nil {
		return err
	}
	served := map[int16]handler.API{}
	for _, a := range handler.APIs() {
		served[a.Key] = a
	}
	var rows strings.Builder
	for _, a := range msg.APIs {
		in := kafka[a.Key]
		versions, advertised, status := "", "", ""
		if s, ok := served[a.Key]; ok {
			versions, advertised = span(s.Min, s.Max), span(s.AdvertisedMin, s.Max)
			status = sentence("served", notes[a.Key])
		} else {
			status = sentence("refused", refused[a.Key])
		}
		fmt.Fprintf(&rows, "| %d | %s | %s | %s | %s | %s | %s |\n", a.Key, a.Name, in.versions(), span(a.Min, a.Max), versions, advertised, status)
	}
	fmt.Fprintf(out, "%d APIs are served and %d refused.\n\n", len(served), len(msg.APIs)-len(served))
	out.WriteString("| key | API | Kafka 4.3 | codec | served | advertised | status |\n|---|---|---|---|---|---|---|\n")
	out.WriteString(rows.String())
	return nil
}

// versions are those of Kafka 4.3, and what others have instead.
func (r release) versions() string {
	switch {
	case r.v43 == r.v44 && r.v43 == "-":
		return "none; 3.9: " + r.v39
	case r.v43 == "-":
		return "none; 4.4: " + short(r.v44)
	case r.v43 != r.v44:
		return short(r.v43) + "; 4.4: " + short(r.v44)
	}
	return short(r.v43)
}

// short writes one version as one number.
func short(span string) string {
	if lo, hi, ok := strings.Cut(span, "-"); ok && lo == hi {
		return lo
	}
	return span
}

func span(lo, hi int16) string { return short(fmt.Sprintf("%d-%d", lo, hi)) }

// sentence is a word and what there is to say about it.
func sentence(word, more string) string {
	if more == "" {
		return word
	}
	return word + ": " + more
}

// limitNames are the settings that bound what a client may send, in the order
// of the document.
var limitNames = []string{
	"socket.request.max.bytes", "queued.max.request.bytes", "max.connections", "max.connections.per.ip", "connections.max.idle.ms",
	"message.max.bytes", "log.message.timestamp.before.max.ms", "log.message.timestamp.after.max.ms",
	"fetch.max.bytes", "max.incremental.fetch.session.cache.slots",
	"group.max.size", "group.min.session.timeout.ms", "group.max.session.timeout.ms", "offset.metadata.max.bytes",
}

func limits(out *strings.Builder) error {
	known := map[string]config.Setting{}
	for _, s := range config.BrokerSettings() {
		known[s.Name] = s
	}
	out.WriteString(limitsHead)
	for _, name := range limitNames {
		s, ok := known[name]
		if !ok || !s.Acts {
			return fmt.Errorf("%s is not a setting that the broker acts on", name)
		}
		fmt.Fprintf(out, "| `%s` | `%s` | %s |\n", s.Name, s.Default, s.Doc)
	}
	return nil
}
