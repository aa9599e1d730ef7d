package config

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
)

// resolve fills in what depends on other settings, and refuses combinations
// that make no sense.
func (l *loader) resolve() error {
	c := l.c
	if l.in.Command == RaftCluster {
		c.Cluster.Enabled = true
		c.Origin["cluster.enabled"] = RaftCluster
	}
	l.standIns()
	if c.Server.MetricsPort < 0 {
		c.Server.MetricsPort = 8090 + c.Cluster.NodeID
		if c.Server.MetricsPort > math.MaxUint16 {
			return fmt.Errorf("node id %d: 8090 + node id is no port; want --metrics-port", c.Cluster.NodeID)
		}
	}
	if c.Server.MetricsPort == c.Server.KafkaPort && c.Server.KafkaPort != 0 {
		return fmt.Errorf("port %d is both the Kafka port and the metrics port; want two (--kafka-port, --metrics-port)", c.Server.KafkaPort)
	}
	if c.Raft.HeartbeatInterval >= c.Raft.ElectionTimeout {
		return fmt.Errorf("%s: raft.heartbeat_interval_ms is %d; want less than raft.election_timeout_ms, which is %d",
			c.Origin["raft.heartbeat_interval_ms"], c.Raft.HeartbeatInterval.Milliseconds(), c.Raft.ElectionTimeout.Milliseconds())
	}
	if err := l.advertised(); err != nil {
		return err
	}
	l.warnClustered()
	return nil
}

// standIns hands the keys that stand for Kafka settings to those, unless the
// setting was given under its own name.
func (l *loader) standIns() {
	c := l.c
	for i := range settings {
		s := &settings[i]
		if s.kafka == "" || (s.clustered && !c.Cluster.Enabled) {
			continue
		}
		if _, given := c.Kafka[s.kafka]; given {
			continue
		}
		text, given := c.standIns[s.kafka]
		if !given {
			text = s.def
		}
		if text != "" {
			c.Kafka[s.kafka] = text
			c.Origin["kafka."+s.kafka] = c.Origin[s.name()]
		}
	}
}

func (l *loader) advertised() error {
	c := l.c
	server := &c.Server
	if host, port, err := net.SplitHostPort(server.AdvertisedAddr); err == nil {
		n, _ := strconv.Atoi(port) // optionalHost has checked it
		if server.AdvertisedPort != 0 && server.AdvertisedPort != n {
			return fmt.Errorf("%s says port %d and %s says %d; want the advertised port in one place",
				c.Origin["server.advertised_addr"], n, c.Origin["server.advertised_port"], server.AdvertisedPort)
		}
		server.AdvertisedAddr, server.AdvertisedPort = host, n
	}
	server.AdvertisedAddr = strings.Trim(server.AdvertisedAddr, "[]")
	if server.AdvertisedPort == 0 {
		server.AdvertisedPort = server.KafkaPort
	}
	switch {
	case server.AdvertisedAddr != "":
	case !c.Cluster.Enabled:
		server.AdvertisedAddr = "localhost"
	default:
		name, err := l.in.Hostname()
		if err != nil {
			return fmt.Errorf("this host does not tell its name (%w); want --advertised-addr", err)
		}
		server.AdvertisedAddr = name
	}
	return nil
}

// warnClustered tells which of the settings that were given do nothing on a
// node that stands alone.
func (l *loader) warnClustered() {
	if l.c.Cluster.Enabled {
		return
	}
	var idle []string
	for i := range settings {
		s := &settings[i]
		if s.clustered && s.name() != "cluster.enabled" && l.c.Origin[s.name()] != "default" {
			idle = append(idle, s.name())
		}
	}
	if len(idle) > 0 {
		l.c.Warnings = append(l.c.Warnings, "set, but without effect outside of a cluster: "+strings.Join(idle, ", "))
	}
}
