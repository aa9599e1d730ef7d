package lint

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// packageRule is a line of the import table.
type packageRule struct {
	level   int
	imports []string // packages of ours
	others  []string // third-party packages, by their beginning; "unsafe"
}

var (
	prometheus = []string{"github.com/prometheus/client_golang/", "github.com/prometheus/common/expfmt", "github.com/prometheus/client_model/"}
	pages      = []string{"golang.org/x/sys/unix", "github.com/edsrzf/mmap-go", "unsafe"}
	codecs     = []string{"github.com/klauspost/compress", "github.com/pierrec/lz4/v4"}
	etcdRaft   = []string{"go.etcd.io/raft/v3", "google.golang.org/protobuf"}
	xxhash     = "github.com/cespare/xxhash/v2"
)

// table says who may import whom. An import must stand here and be of a lower
// level. Levels are those of docs/ARCHITECTURE.md times ten, so that a package
// can stand above its neighbour.
var table = map[string]packageRule{
	"internal/clock":   {level: 0},
	"internal/vfs":     {level: 0, others: pages},
	"internal/repeats": {level: 1, imports: []string{"internal/clock"}},
	"internal/metrics": {level: 1, imports: []string{"internal/clock"}, others: prometheus},
	"internal/config":  {level: 0, others: []string{"github.com/pelletier/go-toml/v2"}},
	"internal/lint":    {level: 0},
	"kafka/wire":       {level: 0, others: []string{"unsafe"}},
	"kafka/kerr":       {level: 0},
	"kafka/msg":        {level: 1, imports: []string{"kafka/wire"}},
	"kafka/batch":      {level: 1, imports: []string{"kafka/batch/compress"}},
	"kafka/msg/gen":    {level: 1},

	"kafka/batch/compress": {level: 0, others: codecs},

	"internal/crashtest": {level: 5, imports: []string{"internal/vfs"}},

	"segment/mapping": {level: 9, imports: []string{"internal/vfs"}},
	"segment/frame":   {level: 9, imports: []string{"internal/vfs"}, others: []string{xxhash}},
	"segment":         {level: 10, imports: []string{"segment/frame", "segment/mapping", "internal/vfs"}, others: []string{xxhash}},
	"segment/scan":    {level: 14, imports: []string{"segment", "internal/vfs"}, others: []string{xxhash}},
	"wal/flush":       {level: 12, imports: []string{"internal/vfs", "internal/clock"}},
	"wal/manifest":    {level: 13, imports: []string{"segment", "internal/vfs"}, others: []string{xxhash}},
	"wal/removal":     {level: 14, imports: []string{"wal/manifest", "internal/vfs"}},
	"wal/spares":      {level: 13, imports: []string{"segment", "internal/vfs"}},
	"wal":             {level: 15, imports: []string{"wal/flush", "wal/manifest", "wal/removal", "wal/spares", "segment", "segment/mapping", "internal/vfs", "internal/clock"}, others: []string{xxhash}},
	"wal/inspect":     {level: 16, imports: []string{"wal", "segment", "segment/scan", "kafka/batch", "internal/vfs", "internal/clock"}},
	"wal/repair":      {level: 17, imports: []string{"wal", "wal/inspect", "segment", "segment/scan", "internal/vfs", "internal/clock"}},

	"raftstore":                   {level: 20, imports: []string{"raftstore/handover", "wal", "segment", "internal/vfs"}, others: append(etcdRaft, xxhash)},
	"raftstore/handover":          {level: 19, imports: []string{"segment"}},
	"raftstore/multiraft/reads":   {level: 24},
	"raftstore/multiraft/peers":   {level: 24, imports: []string{"segment"}},
	"raftstore/multiraft/shards":  {level: 24},
	"raftstore/multiraft/inbox":   {level: 24, others: etcdRaft},
	"raftstore/multiraft/members": {level: 24, others: etcdRaft},
	"raftstore/multiraft/room":    {level: 24, imports: []string{"internal/clock"}},
	"raftstore/multiraft/writes":  {level: 24, others: etcdRaft},
	"raftstore/multiraft/hurry":   {level: 24},
	"raftstore/multiraft/raftmsg": {level: 24, imports: []string{"raftstore/handover", "segment", "internal/clock", "internal/metrics"}, others: etcdRaft},
	"raftstore/multiraft": {level: 25, imports: []string{"raftstore", "raftstore/handover", "raftstore/multiraft/reads", "raftstore/multiraft/peers", "raftstore/multiraft/shards",
		"raftstore/multiraft/writes", "raftstore/multiraft/inbox", "raftstore/multiraft/members", "raftstore/multiraft/hurry", "raftstore/multiraft/room", "raftstore/multiraft/raftmsg", "wal", "segment", "internal/clock", "internal/metrics"}, others: etcdRaft},
	"raftstore/link":             {level: 26, imports: []string{"raftstore/multiraft", "internal/clock", "internal/metrics"}, others: etcdRaft},
	"raftstore/transport/wire":   {level: 26, others: append(etcdRaft, xxhash)},
	"raftstore/transport/shares": {level: 26},
	"raftstore/transport":        {level: 27, imports: []string{"raftstore/transport/shares", "raftstore/transport/wire", "internal/clock", "internal/repeats"}, others: etcdRaft},
	"broker/partition/producers": {level: 25, imports: []string{"segment", "kafka/batch"}},
	"broker/partition/txns":      {level: 26, imports: []string{"broker/partition/producers", "segment", "kafka/batch"}},
	"broker/partition/fate":      {level: 26},
	"broker/partition/held":      {level: 26, imports: []string{"raftstore/multiraft", "segment"}},
	"broker/partition/frames":    {level: 25, imports: []string{"segment", "kafka/batch"}},
	"broker/partition/dirs":      {level: 26, imports: []string{"raftstore/multiraft", "wal", "internal/vfs"}},
	"broker/partition":           {level: 27, imports: []string{"broker/config", "broker/partition/fate", "broker/partition/frames", "broker/partition/held", "broker/partition/producers", "broker/partition/txns", "raftstore/multiraft", "wal", "segment", "kafka/batch", "internal/vfs", "internal/clock", "internal/metrics"}},

	"broker/config":         {level: 24, imports: []string{"kafka/batch"}},
	"broker/cluster":        {level: 31, imports: []string{"kafka/wire"}},
	"broker/group/effect":   {level: 30},
	"broker/group/record":   {level: 30, imports: []string{"kafka/msg", "kafka/wire"}},
	"broker/group/classic":  {level: 31, imports: []string{"broker/group/effect", "broker/group/record"}},
	"broker/group":          {level: 32, imports: []string{"broker/group/classic", "broker/group/effect", "broker/group/record"}},
	"broker/transaction":    {level: 31, imports: []string{"broker/group/effect", "kafka/msg", "kafka/wire"}},
	"broker/coordinator":    {level: 33, imports: []string{"broker/group", "broker/group/effect", "broker/partition", "segment", "kafka/batch", "internal/clock"}},
	"broker/transactions":   {level: 34, imports: []string{"broker/coordinator", "broker/group/effect", "broker/transaction", "internal/clock"}},
	"broker/metadata/calls": {level: 32, imports: []string{"broker/cluster", "kafka/wire", "segment", "internal/clock", "internal/repeats"}},
	"broker/metadata":       {level: 33, imports: []string{"broker/cluster", "broker/metadata/calls", "raftstore/multiraft", "wal", "segment", "internal/vfs", "internal/clock"}},
	"broker/settings":       {level: 33, imports: []string{"broker/cluster", "broker/config"}},
	"broker/fetchsession":   {level: 30},
	"broker/local": {level: 34, imports: []string{"broker/config", "broker/cluster", "broker/partition", "broker/partition/dirs", "raftstore/multiraft", "wal",
		"internal/vfs", "internal/clock", "internal/metrics"}},
	"broker/replica":    {level: 34, imports: []string{"broker/cluster", "broker/partition", "segment", "internal/clock"}},
	"broker/api":        {level: 33, imports: []string{"broker/cluster", "broker/config", "broker/partition", "kafka/batch"}},
	"broker/acks":       {level: 28, imports: []string{"broker/partition", "internal/clock"}},
	"broker/follow":     {level: 32, imports: []string{"broker/cluster", "broker/partition", "internal/clock"}},
	"broker/producerid": {level: 30},
	"broker/leaders":    {level: 35, imports: []string{"broker/cluster", "broker/local", "broker/partition", "broker/replica", "internal/clock"}},
	"broker/lag":        {level: 36, imports: []string{"broker/cluster", "broker/coordinator", "broker/group", "broker/leaders", "broker/local", "internal/clock", "internal/metrics"}},
	"broker": {level: 37, imports: []string{"broker/acks", "broker/api", "broker/config", "broker/cluster", "broker/coordinator", "broker/follow", "broker/group", "broker/lag", "broker/leaders", "broker/local", "broker/metadata", "broker/partition", "broker/producerid", "broker/replica", "broker/settings", "broker/transaction", "broker/transactions",
		"raftstore/multiraft", "wal", "segment", "kafka/batch", "internal/vfs", "internal/clock", "internal/metrics"}},

	"kafka/server":               {level: 40, imports: []string{"kafka/wire", "internal/clock"}},
	"kafka/handler/errcode":      {level: 40, imports: []string{"kafka/msg", "kafka/wire", "kafka/batch", "kafka/kerr", "broker", "broker/config", "broker/group", "broker/transaction", "broker/fetchsession"}},
	"kafka/handler/transactions": {level: 40, imports: []string{"kafka/kerr", "kafka/msg", "broker", "broker/group", "broker/transaction"}},
	"kafka/handler/groups":       {level: 40, imports: []string{"kafka/msg", "kafka/wire", "broker", "broker/group"}},
	"kafka/handler":              {level: 41, imports: []string{"kafka/handler/errcode", "kafka/handler/groups", "kafka/handler/transactions", "kafka/msg", "kafka/wire", "kafka/batch", "kafka/kerr", "broker", "broker/config", "broker/fetchsession", "broker/partition", "internal/clock", "internal/metrics"}},
	"kafka/reference":            {level: 42, imports: []string{"kafka/handler", "kafka/msg", "kafka/batch", "kafka/batch/compress", "kafka/kerr", "broker/config"}},
	"admin":                      {level: 40, imports: []string{"internal/clock"}},

	"node": {level: 50, imports: []string{"admin", "kafka/server", "kafka/handler", "broker", "broker/cluster", "broker/leaders", "broker/metadata", "broker/metadata/calls",
		"raftstore", "raftstore/link", "raftstore/multiraft", "raftstore/transport", "wal", "internal/vfs", "internal/clock", "internal/metrics", "internal/config"}},
	"cmd/chronik-server/client": {level: 59, imports: []string{"internal/clock", "kafka/msg", "kafka/wire", "kafka/kerr"}},
	"cmd/chronik-server": {level: 60, imports: []string{"cmd/chronik-server/client", "internal/clock", "node", "kafka/reference", "wal/inspect", "wal/repair", "broker/config", "internal/config", "internal/vfs", "kafka/msg", "kafka/wire", "kafka/kerr"},
		others: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "gopkg.in/yaml.v3"}},
}

// beside are trees that use the others and are used by none: they may import
// everything of ours, and nothing may import them.
var beside = []string{"fuzz", "bench", "sim", "examples"}

func isBeside(dir string) bool {
	top, _, _ := strings.Cut(dir, "/")
	return slices.Contains(beside, top)
}

func TestImports(t *testing.T) {
	tr := readTree(t)
	edges := 0
	unknown := map[string]bool{}
	used := map[string]bool{}
	for _, f := range tr.files {
		if f.test || isBeside(f.dir) {
			continue
		}
		rule, ok := table[f.dir]
		if !ok {
			if !unknown[f.dir] {
				t.Errorf("%s: the package does not stand in the import table", f.dir)
			}
			unknown[f.dir] = true
			continue
		}
		for _, spec := range f.syntax.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			edges++
			used[f.dir+" "+strings.TrimPrefix(name, module)] = true
			if why := refusal(rule, name); why != "" {
				t.Errorf("%s imports %q: %s", f.path, name, why)
			}
		}
	}
	for dir, rule := range table {
		for _, name := range rule.imports {
			if table[name].level >= rule.level {
				t.Errorf("the table lets %s import %s, which is not below it", dir, name)
			}
			if !used[dir+" "+name] {
				t.Errorf("the table lets %s import %s, which it does not: remove that", dir, name)
			}
		}
	}
	t.Logf("imports: %d of %d packages", edges, len(tr.packages()))
}

// refusal says why a package of that rule must not import name; "" if it may.
func refusal(rule packageRule, name string) string {
	if own, ok := strings.CutPrefix(name, module); ok {
		if slices.Contains(rule.imports, own) {
			return ""
		}
		return "not in the import table"
	}
	top, _, _ := strings.Cut(name, "/")
	if name != "unsafe" && !strings.Contains(top, ".") {
		return "" // the standard library
	}
	for _, other := range rule.others {
		if name == other || strings.HasPrefix(name, strings.TrimSuffix(other, "/")+"/") {
			return ""
		}
	}
	return "not among the third-party packages that it may use"
}

func TestRefusalRefuses(t *testing.T) {
	for _, test := range []struct {
		dir, name string
		allowed   bool
	}{
		{"segment", "chronik/wal", false},
		{"wal", "chronik/segment", true},
		{"wal", "fmt", true},
		{"wal", "unsafe", false},
		{"internal/vfs", "unsafe", true},
		{"broker", "go.etcd.io/raft/v3", false},
		{"raftstore", "go.etcd.io/raft/v3/raftpb", true},
		{"raftstore", "go.etcd.io/raft/v33", false},
		{"kafka/server", "chronik/kafka/handler", false},
		{"admin", "chronik/kafka/msg", false},
		{"node", "github.com/prometheus/client_golang/prometheus", false},
	} {
		if got := refusal(table[test.dir], test.name) == ""; got != test.allowed {
			t.Errorf("%s imports %s: allowed %v, want %v", test.dir, test.name, got, test.allowed)
		}
	}
}
