package reference

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"chronik/kafka/handler"
	"chronik/kafka/msg"
)

// table reads the document's rows by key: the cells behind it.
func table(t *testing.T) map[int16][]string {
	t.Helper()
	text, err := Protocol()
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = strings.Cut(text, "\n## APIs\n")
	text, _, _ = strings.Cut(text, "\n## ")
	rows := map[int16][]string{}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(line, "|\n "), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if key, err := strconv.Atoi(cells[0]); err == nil && strings.HasPrefix(line, "|") {
			if len(cells) != 7 || rows[int16(key)] != nil {
				t.Fatalf("row %q", line)
			}
			rows[int16(key)] = cells[1:]
		}
	}
	return rows
}

// The document has a row for every key without a gap, and says of the served
// ones what the table serves.
func TestRows(t *testing.T) {
	rows := table(t)
	for key := range int16(len(rows)) {
		if rows[key] == nil {
			t.Fatalf("no row of key %d among %d", key, len(rows))
		}
	}
	if last := msg.APIs[len(msg.APIs)-1].Key; int(last) != len(rows)-1 {
		t.Errorf("%d rows, the last key is %d", len(rows), last)
	}
	served := map[int16]handler.API{}
	for _, a := range handler.APIs() {
		served[a.Key] = a
	}
	for key, row := range rows {
		a, ok := served[key]
		want := []string{"", ""}
		if ok {
			want = []string{span(a.Min, a.Max), span(a.AdvertisedMin, a.Max)}
		}
		if row[3] != want[0] || row[4] != want[1] || strings.HasPrefix(row[5], "served") != ok || !ok && len(row[5]) < len("refused: why") {
			t.Errorf("key %d: %q, the table says %+v", key, row, a)
		}
	}
	if row := rows[msg.KeyProduce]; row[3] != "3-13" || row[4] != "0-13" {
		t.Errorf("Produce: %q", row)
	}
}

// Every API that the codec knows is served, or refused for a reason; what is
// not plain from a served one's versions has a note.
func TestServedOrRefused(t *testing.T) {
	served := map[int16]handler.API{}
	for _, a := range handler.APIs() {
		served[a.Key] = a
	}
	known := map[int16]bool{}
	for _, codec := range msg.APIs {
		known[codec.Key] = true
		a, ok := served[codec.Key]
		if reason := refused[codec.Key]; ok == (reason != "") {
			t.Errorf("%s: served %v, refused %q", codec.Name, ok, reason)
		}
		if ok && notes[a.Key] == "" && (a.Max < codec.Max || a.AdvertisedMin != a.Min) {
			t.Errorf("%s: versions %d to %d of %d are served, %d is advertised: say why", codec.Name, a.Min, a.Max, codec.Max, a.AdvertisedMin)
		}
	}
	for key := range refused {
		if !known[key] {
			t.Errorf("key %d is refused, and the codec does not know it", key)
		}
	}
	for key := range notes {
		if _, ok := served[key]; !ok {
			t.Errorf("key %d has a note and is not served", key)
		}
	}
}

// The codec knows the APIs of Kafka 3.9 to 4.4, all versions, and no others.
func TestCodecAgainstKafka(t *testing.T) {
	kafka, err := releases()
	if err != nil {
		t.Fatal(err)
	}
	if len(kafka) != len(msg.APIs) {
		t.Errorf("Kafka has %d APIs, the codec %d", len(kafka), len(msg.APIs))
	}
	for _, a := range msg.APIs {
		r, ok := kafka[a.Key]
		if !ok || r.name != a.Name {
			t.Errorf("key %d is %s here and %q in Kafka", a.Key, a.Name, r.name)
			continue
		}
		lo, hi := int16(1000), int16(-1)
		for _, versions := range []string{r.v39, r.v43, r.v44} {
			var from, to int16
			if n, _ := fmt.Sscanf(versions, "%d-%d", &from, &to); n == 2 {
				lo, hi = min(lo, from), max(hi, to)
			}
		}
		if lo != a.Min || hi != a.Max {
			t.Errorf("%s: the codec has %d to %d, Kafka %d to %d", a.Name, a.Min, a.Max, lo, hi)
		}
	}
}

// Versions are written as a reader expects them.
func TestVersions(t *testing.T) {
	for want, r := range map[string]release{
		"3-13":           {v39: "0-11", v43: "3-13", v44: "3-13"},
		"0":              {v39: "0-0", v43: "0-0", v44: "0-0"},
		"none; 3.9: 0-7": {v39: "0-7", v43: "-", v44: "-"},
		"none; 4.4: 0":   {v39: "-", v43: "-", v44: "0-0"},
		"0-4; 4.4: 0-5":  {v39: "0-4", v43: "0-4", v44: "0-5"},
	} {
		if got := r.versions(); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}
