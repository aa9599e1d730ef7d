package hostile

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// TestFewDescriptors takes every connection that a broker of 256 descriptors gives, and its metrics port's: a client
// that was there before goes on, its log goes on into new segments, and the metrics port answers.
func TestFewDescriptors(t *testing.T) {
	const limit = 256
	b := harness.Start(t, harness.Config{Limit: limit, Set: map[string]string{
		"log.segment.bytes": fmt.Sprint(1 << 20), "offsets.topic.num.partitions": "4",
	}})
	b.Owned(t)
	prepare(t, b)
	pair := newPair(t, b, "hostile-beside")
	pair.run(t, 10, 100, func() bool { return false })
	before := settle(t, b)
	segments := metrics(t, b)["chronik_storage_segments"]

	held, refused := 0, 0
	for range 2 * limit {
		nc, err := dial(b.Addr, 0)
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{TCPConn: nc}
		defer p.Close()
		switch p.ask(p.request(kmsg.NewPtrApiVersionsRequest())) {
		case alive:
			held++
		case closed:
			refused++
		default:
			t.Fatal("a connection was neither served nor closed")
		}
	}
	_, port, _ := strings.Cut(b.HTTP, "http://")
	for range 2 * limit {
		nc, err := dial(port, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	m := metrics(t, b)
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.PID()))
	if err != nil {
		t.Fatal(err)
	}
	open := len(all)
	t.Logf("%v before; %d connections held, %d refused, %d of %d descriptors open", before, held, refused, open, limit)
	if held < limit/4 || refused == 0 || open > limit-32 {
		t.Errorf("%d held, %d refused, %d open; want at least %d held and 32 descriptors left", held, refused, open, limit/4)
	}
	if n := m[`chronik_kafka_connections_rejected_total{reason="full"}`]; int(n) != refused {
		t.Errorf("%.0f rejections are counted, %d were seen", n, refused)
	}
	pair.run(t, 40, 256<<10, func() bool { return false }) // 10 MiB: ten segments
	if now := metrics(t, b)["chronik_storage_segments"]; now < segments+5 {
		t.Errorf("%.0f segments after 10 MiB in segments of 1 MiB, %.0f before", now, segments)
	}
	log, err := os.ReadFile(b.Log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), "connections refused"); n == 0 || n > 3 {
		t.Errorf("%d lines about %d refused connections:\n%s", n, refused, harness.Tail(b.Log, 10))
	}
	if strings.Contains(string(log), "too many open files") {
		t.Errorf("storage or accept ran out of descriptors:\n%s", harness.Tail(b.Log, 10))
	}
}
