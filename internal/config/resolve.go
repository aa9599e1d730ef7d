package config

import (
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
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
	if origin := c.Origin["raft.election_timeout_ms"]; c.Raft.HeartbeatInterval >= c.Raft.ElectionTimeout && origin != "default" && c.Origin["raft.heartbeat_interval_ms"] == "default" {
		return fmt.Errorf("%s: raft.election_timeout_ms is %d; want more than raft.heartbeat_interval_ms, which is %d",
			origin, c.Raft.ElectionTimeout.Milliseconds(), c.Raft.HeartbeatInterval.Milliseconds())
	}
	if c.Raft.HeartbeatInterval >= c.Raft.ElectionTimeout {
		return fmt.Errorf("%s: raft.heartbeat_interval_ms is %d; want less than raft.election_timeout_ms, which is %d",
			c.Origin["raft.heartbeat_interval_ms"], c.Raft.HeartbeatInterval.Milliseconds(), c.Raft.ElectionTimeout.Milliseconds())
	}
	if err := l.advertised(); err != nil {
		return err
	}
	if err := l.cluster(); err != nil {
		return err
	}
	l.warn("set, but without effect outside of a cluster", func(s *setting) bool { return s.clustered && !c.Cluster.Enabled })
	l.warn("set, but not built yet and without effect", func(s *setting) bool { return s.unbuilt && c.Cluster.Enabled })
	return nil
}

// cluster looks at what belongs to a member of a cluster: the raft port, its
// peers, and what is promised but not built.
func (l *loader) cluster() error {
	c := l.c
	c.Cluster.Peers = slices.DeleteFunc(c.Cluster.Peers, func(p Peer) bool { return p.ID == c.Cluster.NodeID })
	if c.Discovery.Mode != "static" {
		return fmt.Errorf("%s: cluster.discovery.mode is %s, which is not built yet; want static, and peers", c.Origin["cluster.discovery.mode"], c.Discovery.Mode)
	}
	if c.Cluster.VersionCompat != "" {
		return fmt.Errorf("%s: cluster.version_compat is not built yet; leave it out", c.Origin["cluster.version_compat"])
	}
	if err := l.raftTLS(); err != nil {
		return err
	}
	_, text, _ := net.SplitHostPort(c.Raft.ListenAddr) // hostPort has checked it
	port, _ := strconv.Atoi(text)
	for what, taken := range map[string]int{"Kafka port": c.Server.KafkaPort, "metrics port": c.Server.MetricsPort} {
		if c.Cluster.Enabled && port == taken && port != 0 {
			return fmt.Errorf("port %d is both the raft port and the %s; want two (--raft-addr)", port, what)
		}
	}
	return nil
}

// raftTLS refuses one or two of the three files.
func (l *loader) raftTLS() error {
	files := map[string]string{"tls_cert_file": l.c.Raft.TLSCertFile, "tls_key_file": l.c.Raft.TLSKeyFile, "tls_ca_file": l.c.Raft.TLSCAFile}
	var given, missing []string
	for _, key := range slices.Sorted(maps.Keys(files)) {
		if files[key] == "" {
			missing = append(missing, "raft."+key)
		} else {
			given = append(given, "raft."+key)
		}
	}
	if len(given) > 0 && len(missing) > 0 {
		return fmt.Errorf("%s: %s without %s; want all three or none", l.c.Origin[given[0]], given[0], strings.Join(missing, " and "))
	}
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

// warn names those of the settings for which idle is true that were given.
func (l *loader) warn(what string, idle func(*setting) bool) {
	var names []string
	for i := range settings {
		s := &settings[i]
		if idle(s) && s.name() != "cluster.enabled" && l.c.Origin[s.name()] != "default" {
			names = append(names, s.name())
		}
	}
	if len(names) > 0 {
		l.c.Warnings = append(l.c.Warnings, what+": "+strings.Join(names, ", "))
	}
}
