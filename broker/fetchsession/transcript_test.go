package fetchsession

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into testdata instead of comparing")

// The transcripts are files of commands, each followed by what it did,
// indented. Read them as stories; the headings name the rules.
//
//	slots N                       a new cache
//	wait DURATION                 time passes
//	log KEY hw=N start=N [data] [error] [urgent]
//	                              what reading the partition gives from now on
//	fetch SESSION EPOCH [id] KEY[@OFFSET].. [-KEY]..
//	                              a fetch; -KEY is forgotten, id: by topic id
//	epoch SESSION N               puts the expected epoch, to see it wrap
//
// Sessions are called s1, s2, .. in the order in which they were made; 0 is
// none.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(want))
			if *rewrite {
				if err := os.WriteFile(name, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s is not what happens now (go test -rewrite shows it as a diff):\n%s", name, got)
			}
		})
	}
}

type story struct {
	t     *testing.T
	cache *Cache
	now   time.Time
	ids   []int32 // of s1, s2, ..
	logs  map[Key]Result
	fetch Fetch
}

func replay(t *testing.T, text string) string {
	s := &story{t: t, now: time.Unix(1_700_000_000, 0), logs: map[Key]Result{}}
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		out.WriteString(line + "\n")
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(line, "#") {
			if did := s.do(words); did != "" {
				out.WriteString("  " + did + "\n")
			}
		}
	}
	return out.String()
}

func (s *story) do(words []string) string {
	switch words[0] {
	case "slots":
		s.cache, s.ids = New(s.number(words[1]), rand.New(rand.NewPCG(1, 2))), nil
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
	case "log":
		s.logs[s.key(words[1], false)] = s.result(words[2:])
	case "epoch":
		s.cache.sessions[s.id(words[1])].epoch = int32(s.number(words[2]))
	case "fetch":
		return s.doFetch(words[1:])
	default:
		s.t.Fatalf("what is %q?", words)
	}
	return ""
}

func (s *story) result(words []string) Result {
	var r Result
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "hw":
			r.HighWatermark = int64(s.number(value))
		case "start":
			r.LogStart = int64(s.number(value))
		case "data":
			r.HasRecords = true
		case "error":
			r.Failed, r.HighWatermark, r.LogStart = true, -1, -1
		case "urgent":
			r.Urgent = true
		default:
			s.t.Fatalf("what is %q?", w)
		}
	}
	return r
}

func (s *story) doFetch(words []string) string {
	r := Request{SessionID: s.id(words[0]), Epoch: int32(s.number(words[1]))}
	for _, w := range words[2:] {
		switch {
		case w == "id":
			r.ByID = true
		case w[0] == '-':
			r.Forgotten = append(r.Forgotten, s.key(w[1:], r.ByID))
		default:
			name, offset, ok := strings.Cut(w, "@")
			p := Partition{Key: s.key(name, r.ByID)}
			if ok {
				p.FetchOffset = int64(s.number(offset))
			}
			r.Partitions = append(r.Partitions, p)
		}
	}
	if err := s.cache.Begin(s.now, r, &s.fetch); err != nil {
		return err.Error()
	}
	results, listed := make([]Result, len(s.fetch.Partitions)), make([]bool, len(s.fetch.Partitions))
	var read, told []string
	for i, p := range s.fetch.Partitions {
		results[i] = s.logs[Key{Topic: p.Topic + string(p.TopicID[:1]), Partition: p.Partition}]
		if p.Topic != "" {
			results[i] = s.logs[p.Key]
		}
		read = append(read, fmt.Sprintf("%s@%d", s.name(p.Key), p.FetchOffset))
	}
	id := s.fetch.Finish(s.now, results, listed)
	for i, p := range s.fetch.Partitions {
		if listed[i] {
			told = append(told, s.name(p.Key))
		}
	}
	return fmt.Sprintf("session %s, reads %v, lists %v", s.session(id), read, told)
}

func (s *story) key(word string, byID bool) Key {
	topic, n, _ := strings.Cut(word, "/")
	k := Key{Topic: topic, Partition: int32(s.number(n))}
	if byID {
		k.Topic, k.TopicID = "", [16]byte{topic[0]}
	}
	return k
}

func (s *story) name(k Key) string {
	topic := k.Topic
	if topic == "" {
		topic = "id:" + string(k.TopicID[:1])
	}
	return fmt.Sprintf("%s/%d", topic, k.Partition)
}

// id and session translate between s1, s2, .. and the ids drawn.
func (s *story) id(word string) int32 {
	if word[0] != 's' {
		return int32(s.number(word))
	}
	return s.ids[s.number(word[1:])-1]
}

func (s *story) session(id int32) string {
	if id == 0 {
		return "0"
	}
	at := slices.Index(s.ids, id)
	if at < 0 {
		at = len(s.ids)
		s.ids = append(s.ids, id)
	}
	return "s" + strconv.Itoa(at+1)
}

func (s *story) number(word string) int {
	if word == "max" {
		return math.MaxInt32
	}
	n, err := strconv.Atoi(word)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
