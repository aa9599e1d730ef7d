// Command peer runs franz-go's kfake, a fake broker, behind chronik-server's own command line, so that the suites
// in this module can be built and debugged against an independent implementation: CHRONIK_BIN=<peer binary>
// CHRONIK_TEST_PEER=kfake. It is a test aid, never a part of the product.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// settings is a repeatable --set name=value flag.
type settings map[string]string

func (s settings) String() string { return "" }

func (s settings) Set(v string) error {
	name, value, ok := strings.Cut(v, "=")
	if !ok {
		return fmt.Errorf("want name=value, got %q", v)
	}
	s[name] = value
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(2)
	}
}

func run() error {
	set := settings{}
	bind := flag.String("bind-addr", "127.0.0.1", "address to listen on")
	port := flag.Int("kafka-port", 9092, "Kafka port")
	metrics := flag.Int("metrics-port", 8091, "port of /ready")
	dir := flag.String("data-dir", "", "data directory")
	flag.String("advertised-addr", "127.0.0.1", "ignored")
	flag.String("log-level", "info", "debug shows kfake's own log")
	flag.Var(set, "set", "name=value, repeatable")
	flag.Parse()

	if err := lock(*dir); err != nil {
		return err
	}
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.Ports(*port), kfake.DataDir(*dir), kfake.SyncWrites()}
	opts = append(opts, translate(set)...)
	if flag.Lookup("log-level").Value.String() == "debug" {
		opts = append(opts, kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelDebug)))
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		return err
	}
	defer c.Close()
	l, err := net.Listen("tcp", net.JoinHostPort(*bind, strconv.Itoa(*metrics)))
	if err != nil {
		return err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }))
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGTERM, syscall.SIGINT)
	<-sig
	return nil
}

// translate turns Kafka's broker settings into kfake options; those that kfake does not know are dropped.
func translate(set settings) []kfake.Opt {
	var opts []kfake.Opt
	if v, ok := set["auto.create.topics.enable"]; !ok || v == "true" {
		opts = append(opts, kfake.AllowAutoTopicCreation())
	}
	n, _ := strconv.Atoi(set["num.partitions"])
	opts = append(opts, kfake.DefaultNumPartitions(max(n, 1)))
	known := map[string]string{}
	for _, name := range []string{
		"message.max.bytes", "group.max.size", "group.min.session.timeout.ms",
		"compression.type", "log.message.timestamp.type", "max.incremental.fetch.session.cache.slots",
	} {
		if v, ok := set[name]; ok {
			known[name] = v
		}
	}
	return append(opts, kfake.BrokerConfigs(known))
}

// held keeps the lock file open: a collected *os.File closes itself and drops the lock.
var held *os.File

// lock refuses a directory that another live process holds.
func lock(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("data directory %s is in use by another process", dir)
	}
	held = f
	return nil
}
