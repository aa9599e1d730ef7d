package group

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"chronik/broker/group/record"
	"chronik/kafka/wire"
)

var rewrite = flag.Bool("rewrite", false, "write the transcripts in testdata anew")

// TestTranscripts runs testdata/*.txt. A line that is not indented is a command; what it prints follows, indented by
// two spaces. Each file is named after what it is about and each section, opened by "== ", after the rules it shows.
// A section starts from nothing, at time 0.
//
//	config delay=3s members=9 metadata=4096 retention=24h check=10m
//	join group=g client=c [member=m] [instance=i] [session=10s] [rebalance=60s] [type=consumer]
//	     [protocols=range:@t+u,rr:bytes] [v4: asks for an id first] [v9: may be told to skip the assignment]
//	sync group=g [gen=1] member=m [instance=i] [give=m:bytes,...] [type=t] [protocol=p]
//	heartbeat group=g [gen=1] member=m [instance=i]
//	leave group=g member[/instance] /instance ...
//	commit group=g [gen=-1] [member=m] [retention=1h] [epoch=4] [id=topic id] topic-partition:offset[:metadata] ...
//	fetch group=g [topic-partition ...]        delete-offsets group=g topic-partition ...
//	describe group=g       list       delete group=g       topic-deleted t       topics
//	tick 5s                                     from one deadline to the next; prints the time of what happens
//	alive 1h group member ...                   ticks, with a heartbeat of the members every ten minutes
//	manual                                      from now on appends wait for: appended id [outcome]
//	loading      reload (from what is committed)      resign      deadline
//
// as=label names a call, whose answer is printed as "label: ..." when it comes. An answer that is not due, or given
// twice, fails the test.
//
//	go test ./broker/group -run TestTranscripts -rewrite
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for i, section := range strings.SplitAfter("\n"+string(text), "\n== ") {
			if i == 0 {
				out.WriteString(section[1:])
				continue
			}
			name, _, _ := strings.Cut(section, "\n")
			ok := t.Run(strings.TrimSuffix(filepath.Base(f), ".txt")+"/"+name, func(t *testing.T) {
				got := runSection(t, section)
				out.WriteString(got)
				if !*rewrite {
					compare(t, section, got)
				}
			})
			if !ok && *rewrite {
				out.WriteString(section)
			}
		}
		if *rewrite {
			if err := os.WriteFile(f, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// rules are those that this package decides, of J (classic groups) and O (offsets). The others are the handler's (J61
// filters, O1, O14) or belong to what is not built (O5, O12, O13).
var rules = strings.Fields(`
	J1 J2 J10 J11 J12 J13 J14 J15 J16 J17 J18 J19 J20 J21 J22 J30 J31 J32 J33 J40 J41 J50 J51 J52 J53 J60 J61 J62 J63 J64
	O2 O3 O4 O6 O7 O8 O10 O11 O15 O16`)

// TestEveryRuleHasATranscript looks for the ids in the names of the sections.
func TestEveryRuleHasATranscript(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "== "); ok {
				for _, id := range strings.Fields(name) {
					shown[id] = true
				}
			}
		}
	}
	for _, id := range rules {
		if !shown[id] {
			t.Errorf("no section shows %s", id)
		}
	}
}

func compare(t *testing.T, want, got string) {
	t.Helper()
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			t.Fatalf("line %d of the section:\n want %q\n got  %q\nthe whole:\n%s", i+1, a, b, got)
		}
	}
}

func runSection(t *testing.T, section string) string {
	w := newWorld(t)
	var out strings.Builder
	for i, line := range strings.Split(section, "\n") {
		switch {
		case i == 0, line == "", strings.HasPrefix(line, "#"), strings.HasPrefix(line, "=="):
			out.WriteString(line)
		case strings.HasPrefix(line, "  "):
			continue // expected output, compared by the caller
		default:
			out.WriteString(line + "\n" + w.run(line))
			continue
		}
		out.WriteString("\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a Shard with a log behind it.
type world struct {
	t      *testing.T
	cfg    Config
	s      *Shard
	now    time.Time
	ids    int
	labels map[Token]string
	tokens Token
	manual bool // appends are settled by the command "appended"
	open   map[AppendID][]Record
	log    []Record // committed
	out    strings.Builder
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: epoch, labels: map[Token]string{}, open: map[AppendID][]Record{}}
	w.cfg = DefaultConfig(func() string { w.ids++; return strconv.Itoa(w.ids) })
	w.s = NewShard(w.cfg)
	w.s.Loaded(w.now, &Effects{})
	return w
}

// args is a command: its positional words and its key=value words.
type args struct {
	t     *testing.T
	line  string
	words []string
	kv    map[string]string
}

func parse(t *testing.T, line string) args {
	a := args{t: t, line: line, kv: map[string]string{}}
	for _, f := range strings.Fields(line) {
		if k, v, ok := strings.Cut(f, "="); ok {
			a.kv[k] = v
		} else {
			a.words = append(a.words, f)
		}
	}
	return a
}

func (a args) word(i int) string {
	if i < len(a.words) {
		return a.words[i]
	}
	a.t.Fatalf("%q: word %d is missing", a.line, i)
	return ""
}

func (a args) has(word string) bool { return slices.Contains(a.words[1:], word) }

func (a args) duration(key string, def time.Duration) time.Duration {
	if a.kv[key] == "" {
		return def
	}
	d, err := time.ParseDuration(a.kv[key])
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return d
}

func (a args) number(key string, def int) int {
	if a.kv[key] == "" {
		return def
	}
	n, err := strconv.Atoi(a.kv[key])
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return n
}

func (w *world) token(a args) Token {
	w.tokens++
	label := a.kv["as"]
	if label == "" {
		label = a.word(0)
	}
	w.labels[w.tokens] = label
	return w.tokens
}

func (w *world) run(line string) string {
	w.out.Reset()
	a, fx := parse(w.t, line), &Effects{}
	switch a.word(0) {
	case "config":
		w.config(a)
	case "join":
		w.s.Join(w.now, joinOf(a), w.token(a), fx)
	case "sync":
		w.s.Sync(w.now, syncOf(a), w.token(a), fx)
	case "heartbeat":
		w.printf("%v", w.s.Heartbeat(w.now, HeartbeatRequest{
			Group: a.kv["group"], Generation: int32(a.number("gen", 1)), MemberID: a.kv["member"], InstanceID: a.kv["instance"],
		}))
	case "leave":
		w.s.Leave(w.now, leaveOf(a), w.token(a), fx)
	case "commit":
		w.s.CommitOffsets(w.now, commitOf(a), w.token(a), fx)
	case "fetch":
		w.fetch(a)
	case "delete-offsets":
		w.s.DeleteOffsets(w.now, DeleteOffsetsRequest{Group: a.kv["group"], Topics: partitionsOf(a)}, w.token(a), fx)
	case "describe":
		w.describe(a.kv["group"])
	case "list":
		w.list()
	case "delete":
		w.s.Delete(w.now, a.kv["group"], w.token(a), fx)
	case "topic-deleted":
		w.s.TopicDeleted(w.now, a.word(1), fx)
	case "tick":
		w.tick(a)
	case "alive":
		w.alive(a)
	case "appended":
		w.appended(a, fx)
	case "manual":
		w.manual = true
	case "resign":
		w.s.Resign(w.now, fx)
	case "loading":
		w.s = NewShard(w.cfg)
	case "reload":
		w.reload(fx)
	case "deadline":
		at, ok := w.s.Deadline()
		w.printf("%v %v", at.Sub(w.now), ok)
	case "topics":
		w.printf("%v", w.s.Topics())
	default:
		w.t.Fatalf("no such command: %q", line)
	}
	w.show(fx)
	return w.out.String()
}

func (w *world) printf(format string, v ...any) { fmt.Fprintf(&w.out, "  "+format+"\n", v...) }

func (w *world) config(a args) {
	w.cfg.InitialRebalanceDelay = a.duration("delay", w.cfg.InitialRebalanceDelay)
	w.cfg.MembersMax = a.number("members", w.cfg.MembersMax)
	w.cfg.OffsetMetadataMax = a.number("metadata", w.cfg.OffsetMetadataMax)
	w.cfg.OffsetsRetention = a.duration("retention", w.cfg.OffsetsRetention)
	w.cfg.OffsetsRetentionCheck = a.duration("check", w.cfg.OffsetsRetentionCheck)
	w.s.cfg = w.cfg
	w.s.env.InitialRebalanceDelay, w.s.env.MembersMax = w.cfg.InitialRebalanceDelay, w.cfg.MembersMax
}

// show prints effects and, unless told otherwise, commits the appends at once.
func (w *world) show(fx *Effects) {
	for len(fx.Replies)+len(fx.Appends) > 0 {
		for _, r := range fx.Replies {
			label, ok := w.labels[r.Token]
			if !ok {
				w.t.Fatalf("token %d answered twice", r.Token)
			}
			delete(w.labels, r.Token)
			w.printf("%s: %s", label, showResponse(r.Response))
		}
		next := &Effects{}
		for _, ap := range fx.Appends {
			for _, rec := range ap.Records {
				w.printf("append %d: %s", ap.ID, showRecord(w.t, rec))
			}
			w.open[ap.ID] = ap.Records
			if !w.manual {
				w.commit(ap.ID, nil, next)
			}
		}
		fx = next
	}
}

func (w *world) commit(id AppendID, err error, fx *Effects) {
	if err == nil {
		w.log = append(w.log, w.open[id]...)
	}
	if !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrNotEnoughReplicasAfterAppend) {
		delete(w.open, id)
	}
	w.s.Appended(w.now, id, err, fx)
}

func (w *world) appended(a args, fx *Effects) {
	id, err := strconv.Atoi(a.word(1))
	if err != nil || w.open[AppendID(id)] == nil {
		w.t.Fatalf("%q: no such append is open", a.line)
	}
	var outcome error
	if len(a.words) > 2 {
		errs := map[string]error{
			"not-leader": ErrNotLeader, "storage": ErrStorage, "unknown-partition": ErrUnknownPartition,
			"not-enough-replicas": ErrNotEnoughReplicas, "not-enough-replicas-after": ErrNotEnoughReplicasAfterAppend,
			"timeout": ErrTimeout, "too-large": ErrTooLarge, "other": errors.New("other"),
		}
		if outcome = errs[a.words[2]]; outcome == nil {
			w.t.Fatalf("%q: no such outcome", a.line)
		}
	}
	w.commit(AppendID(id), outcome, fx)
}

// tick lets time pass, from one deadline to the next.
func (w *world) tick(a args) {
	d, err := time.ParseDuration(a.word(1))
	if err != nil {
		w.t.Fatal(err)
	}
	end := w.now.Add(d)
	for {
		at, ok := w.s.Deadline()
		if !ok || at.After(end) {
			break
		}
		w.now = at
		before, fx := w.out.Len(), &Effects{}
		w.s.Tick(w.now, fx)
		w.show(fx)
		if w.out.Len() > before {
			shown := w.out.String()
			w.out.Reset()
			w.out.WriteString(shown[:before])
			w.printf("at %v", w.now.Sub(epoch))
			w.out.WriteString(shown[before:])
		}
	}
	w.now = end
}

// alive lets time pass while members heartbeat every ten minutes.
func (w *world) alive(a args) {
	d, err := time.ParseDuration(a.word(1))
	if err != nil {
		w.t.Fatal(err)
	}
	for end := w.now.Add(d); w.now.Before(end); {
		w.tick(parse(w.t, "tick 10m"))
		for i := 2; i+1 < len(a.words); i += 2 {
			if err := w.s.Heartbeat(w.now, HeartbeatRequest{Group: a.word(i), Generation: 1, MemberID: a.word(i + 1)}); err != None {
				w.t.Fatalf("heartbeat at %v: %v", w.now.Sub(epoch), err)
			}
		}
	}
}

// reload is a new leader: it knows the log.
func (w *world) reload(fx *Effects) {
	w.s = NewShard(w.cfg)
	clear(w.open)
	for _, r := range w.log {
		if err := w.s.Load(r.Key, r.Value); err != nil {
			w.t.Fatal(err)
		}
	}
	w.s.Loaded(w.now, fx)
}

func joinOf(a args) JoinRequest {
	r := JoinRequest{
		Group: a.kv["group"], MemberID: a.kv["member"], InstanceID: a.kv["instance"], ClientID: a.kv["client"],
		ClientHost: "/1.2.3.4", SessionTimeout: a.duration("session", 10*time.Second),
		RebalanceTimeout: a.duration("rebalance", 60*time.Second), ProtocolType: "consumer",
		RequireKnownMemberID: a.has("v4"), SkipAssignment: a.has("v9"),
	}
	if t, ok := a.kv["type"]; ok {
		r.ProtocolType = t
	}
	protocols := "range:@t"
	if p, ok := a.kv["protocols"]; ok {
		protocols = p
	}
	for _, p := range strings.FieldsFunc(protocols, func(r rune) bool { return r == ',' }) {
		name, metadata, _ := strings.Cut(p, ":")
		r.Protocols = append(r.Protocols, Protocol{Name: name, Metadata: metadataOf(metadata)})
	}
	return r
}

// metadataOf makes a consumer's subscription of "@topic+topic", and bytes of anything else.
func metadataOf(s string) []byte {
	topics, ok := strings.CutPrefix(s, "@")
	if !ok {
		return []byte(s)
	}
	w := wire.NewWriter(nil)
	w.Int16(0)
	names := strings.FieldsFunc(topics, func(r rune) bool { return r == '+' })
	w.ArrayLen(len(names), false)
	for _, n := range names {
		w.String(n, false)
	}
	w.Int32(-1)
	return w.Bytes()
}

func syncOf(a args) SyncRequest {
	r := SyncRequest{
		Group: a.kv["group"], Generation: int32(a.number("gen", 1)), MemberID: a.kv["member"], InstanceID: a.kv["instance"],
		ProtocolType: a.kv["type"], Protocol: a.kv["protocol"],
	}
	for _, s := range strings.FieldsFunc(a.kv["give"], func(r rune) bool { return r == ',' }) {
		id, b, _ := strings.Cut(s, ":")
		r.Assignments = append(r.Assignments, Assignment{MemberID: id, Bytes: []byte(b)})
	}
	return r
}

func leaveOf(a args) LeaveRequest {
	r := LeaveRequest{Group: a.kv["group"]}
	for _, who := range a.words[1:] { // member, member/instance or /instance
		id, instance, _ := strings.Cut(who, "/")
		r.Members = append(r.Members, MemberIdentity{MemberID: id, InstanceID: instance})
	}
	return r
}

// commitOf reads words topic-partition:offset[:metadata].
func commitOf(a args) CommitOffsetsRequest {
	r := CommitOffsetsRequest{
		Group: a.kv["group"], Generation: int32(a.number("gen", -1)), MemberID: a.kv["member"], InstanceID: a.kv["instance"],
		Retention: a.duration("retention", -1),
	}
	for _, word := range a.words[1:] {
		parts := strings.SplitN(word, ":", 3)
		topic, partition := topicPartition(a, parts[0])
		offset, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			a.t.Fatalf("%q: %v", a.line, err)
		}
		o := OffsetToCommit{Partition: partition, Offset: offset, LeaderEpoch: int32(a.number("epoch", -1))}
		if len(parts) > 2 {
			o.Metadata = parts[2]
		}
		r.Topics = append(r.Topics, TopicToCommit{Name: topic, ID: idOf(a), Partitions: []OffsetToCommit{o}})
	}
	return r
}

func idOf(a args) TopicID {
	var id TopicID
	id[15] = byte(a.number("id", 0))
	return id
}

func topicPartition(a args, s string) (string, int32) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		a.t.Fatalf("%q: %q is not topic-partition", a.line, s)
	}
	n, err := strconv.Atoi(s[i+1:])
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return s[:i], int32(n)
}

func partitionsOf(a args) []TopicPartitions {
	var out []TopicPartitions
	for _, word := range a.words[1:] {
		topic, partition := topicPartition(a, word)
		out = append(out, TopicPartitions{Name: topic, ID: idOf(a), Partitions: []int32{partition}})
	}
	return out
}

func (w *world) fetch(a args) {
	r := w.s.FetchOffsets(FetchOffsetsRequest{Group: a.kv["group"], All: len(a.words) == 1, Topics: partitionsOf(a)})
	if r.Err != None {
		w.printf("%v", r.Err)
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			w.printf("%s-%d = %d epoch %d %q", t.Name, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata)
		}
	}
}

func (w *world) describe(id string) {
	d := w.s.Describe(id)
	w.printf("%v %s %s type=%s protocol=%s", d.Err, d.Group, d.State, d.ProtocolType, d.Protocol)
	for _, m := range d.Members {
		w.printf("%s%s client=%s host=%s metadata=%s assignment=%s",
			m.MemberID, suffix("/", m.InstanceID), m.ClientID, m.ClientHost, showBytes(m.Metadata), showBytes(m.Assignment))
	}
}

func (w *world) list() {
	groups, err := w.s.List()
	if err != None {
		w.printf("%v", err)
	}
	for _, g := range groups {
		w.printf("%s %s type=%q", g.Group, g.State, g.ProtocolType)
	}
}

func suffix(sep, s string) string {
	if s == "" {
		return ""
	}
	return sep + s
}

func showBytes(b []byte) string {
	if topics, err := record.Subscription(b); err == nil {
		return "@" + strings.Join(topics, "+")
	}
	return string(b)
}

func showResponse(r any) string {
	switch r := r.(type) {
	case JoinResponse:
		return showJoin(r)
	case SyncResponse:
		if r.Err != None {
			return "sync " + r.Err.Error()
		}
		return fmt.Sprintf("sync %v %s %s assignment=%s", r.Err, r.ProtocolType, r.Protocol, showBytes(r.Assignment))
	case LeaveResponse:
		s := "leave " + r.Err.Error()
		for _, m := range r.Members {
			s += fmt.Sprintf(" %s%s:%v", m.MemberID, suffix("/", m.InstanceID), m.Err)
		}
		return s
	case CommitOffsetsResponse:
		return "commit " + r.Err.Error() + showResults(r.Topics)
	case DeleteOffsetsResponse:
		return "delete-offsets " + r.Err.Error() + showResults(r.Topics)
	case DeleteResponse:
		return "delete " + r.Err.Error()
	}
	return fmt.Sprintf("%#v", r)
}

func showResults(topics []TopicResult) string {
	s := ""
	for _, t := range topics {
		for _, p := range t.Partitions {
			s += fmt.Sprintf(" %s-%d:%v", t.Name, p.Partition, p.Err)
		}
	}
	return s
}

func showJoin(r JoinResponse) string {
	s := fmt.Sprintf("join %v", r.Err)
	if r.Err != None {
		if r.Generation != -1 || r.Leader != "" || r.Protocol != "" || len(r.Members) > 0 {
			s += fmt.Sprintf(" UNCLEAN %+v", r)
		}
		return s + fmt.Sprintf(" member=%q", r.MemberID)
	}
	s += fmt.Sprintf(" gen=%d member=%s leader=%s %s/%s", r.Generation, r.MemberID, r.Leader, r.ProtocolType, r.Protocol)
	if r.SkipAssignment {
		s += " skip"
	}
	for i, m := range r.Members {
		s += []string{" members=", ","}[min(i, 1)] + m.MemberID + suffix("/", m.InstanceID) + ":" + showBytes(m.Metadata)
	}
	return s
}

func showRecord(t *testing.T, r Record) string {
	k, err := record.DecodeKey(r.Key)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case k.Kind == record.KindOffset && r.Value == nil:
		return fmt.Sprintf("%s %s-%d tombstone", k.Group, k.Topic, k.Partition)
	case k.Kind == record.KindGroup && r.Value == nil:
		return k.Group + " tombstone"
	case k.Kind == record.KindOffset:
		o, err := record.DecodeOffset(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprintf("%s %s-%d = %d epoch %d %q v%d", k.Group, k.Topic, k.Partition, o.Offset, o.LeaderEpoch, o.Metadata, r.Value[1])
		if o.ExpireMs >= 0 {
			s += fmt.Sprintf(" expires at %v", time.UnixMilli(o.ExpireMs).Sub(epoch))
		}
		return s
	}
	g, err := record.DecodeGroup(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	s := fmt.Sprintf("%s gen=%d %s/%s leader=%s at %v", k.Group, g.Generation, g.ProtocolType, g.Protocol,
		g.Leader, time.UnixMilli(g.StateMs).Sub(epoch))
	for _, m := range g.Members {
		s += fmt.Sprintf(" %s%s=%s", m.MemberID, suffix("/", m.InstanceID), showBytes(m.Assignment))
	}
	return s
}
