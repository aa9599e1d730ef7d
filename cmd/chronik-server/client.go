package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"chronik/internal/clock"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

// responseBytesMax bounds what a response's length prefix is believed.
const responseBytesMax = 256 << 20

// waitMax is how long a command waits for a broker, unless it is told.
const waitMax = 30 * time.Second

// client is a connection to a broker's Kafka port, for one command. Requests
// go one after the other.
type client struct {
	conn        net.Conn
	addr        string
	deadline    time.Time
	versions    map[int16]msg.ApiVersion
	correlation int32
	peers       map[int32]*client // brokers that were asked too
	brokers     []msg.MetadataResponseBroker
}

// addClientFlags defines the flags of commands that ask a running broker.
func (a *app) addClientFlags(cmd *cobra.Command) {
	a.addOutputFlag(cmd)
	cmd.Flags().StringVar(&a.server, "bootstrap-server", "", "host:port of a broker (default this configuration's bind address and Kafka port)")
	cmd.Flags().DurationVar(&a.timeout, "timeout", waitMax, "How long the command may take")
}

// connect dials the broker that the command line names.
func (a *app) connect() (*client, error) {
	addr := a.server
	if addr == "" {
		c, err := a.load("")
		if err != nil {
			return nil, err
		}
		host := c.Server.BindAddr
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "localhost"
		}
		addr = net.JoinHostPort(host, strconv.Itoa(c.Server.KafkaPort))
	} else if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, usagef("--bootstrap-server %s: want host:port, as localhost:9092", addr)
	}
	return dial(addr, time.Now().Add(a.timeout))
}

// dial connects and asks for the API versions.
func dial(addr string, deadline time.Time) (*client, error) {
	conn, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", addr)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("no broker answers at %s: %w; want --bootstrap-server host:port of one that runs", addr, err)
	}
	c := &client{conn: conn, addr: addr, deadline: deadline, peers: map[int32]*client{},
		versions: map[int16]msg.ApiVersion{msg.KeyApiVersions: {ApiKey: msg.KeyApiVersions}}}
	if err := conn.SetDeadline(deadline); err != nil {
		c.close()
		return nil, err
	}
	var answer msg.ApiVersionsResponse
	if err := c.call(&msg.ApiVersionsRequest{}, &answer, 0); err != nil {
		c.close()
		return nil, err
	}
	for _, v := range answer.ApiKeys {
		c.versions[v.ApiKey] = v
	}
	return c, codeError(answer.ErrorCode, wire.NullString{}, "ApiVersions")
}

func (c *client) close() {
	for _, peer := range c.peers {
		peer.close()
	}
	_ = c.conn.Close() // nothing is in flight
}

// call sends one request of that version and reads its response.
func (c *client) call(request msg.Request, response msg.Response, version int16) error {
	api := msg.Lookup(request.APIKey())
	if theirs, ok := c.versions[api.Key]; !ok || version < theirs.MinVersion || version > theirs.MaxVersion {
		return fmt.Errorf("the broker at %s does not serve version %d of %s", c.addr, version, api.Name)
	}
	c.correlation++
	var w wire.Writer
	msg.EncodeRequest(&w, request, version, c.correlation, wire.Str("chronik-server"))
	if err := w.Err(); err != nil {
		return fmt.Errorf("%s: %w", api.Name, err)
	}
	if _, err := c.conn.Write(w.Bytes()); err != nil {
		return fmt.Errorf("%s to %s: %w", api.Name, c.addr, err)
	}
	frame, err := c.readFrame()
	if err != nil {
		return fmt.Errorf("%s from %s: %w", api.Name, c.addr, err)
	}
	r := wire.NewReader(frame)
	if got := msg.DecodeResponseHeader(&r, api.Key, version); got != c.correlation {
		return fmt.Errorf("%s from %s: the answer is to request %d, not %d", api.Name, c.addr, got, c.correlation)
	}
	response.Decode(&r, version)
	if err := r.Done(); err != nil {
		return fmt.Errorf("%s from %s: %w", api.Name, c.addr, err)
	}
	return nil
}

func (c *client) readFrame() ([]byte, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(c.conn, prefix[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(prefix[:])
	if size > responseBytesMax {
		return nil, fmt.Errorf("a response of %d bytes; is this a Kafka port?", size)
	}
	frame := make([]byte, size)
	_, err := io.ReadFull(c.conn, frame)
	return frame, err
}

// peer is a connection to the broker with that id, made when it is needed.
func (c *client) peer(id int32) (*client, error) {
	if c.peers[id] != nil {
		return c.peers[id], nil
	}
	if c.brokers == nil {
		if _, err := c.metadata([]string{}); err != nil {
			return nil, err
		}
	}
	for _, b := range c.brokers {
		if b.NodeId == id {
			peer, err := dial(net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))), c.deadline)
			if err == nil {
				c.peers[id] = peer
			}
			return peer, err
		}
	}
	return nil, fmt.Errorf("broker %d is not among those that %s knows", id, c.addr)
}

// metadata asks for topics by name, nil for all of them. Topics and partitions
// come sorted.
func (c *client) metadata(topics []string) (*msg.MetadataResponse, error) {
	request := &msg.MetadataRequest{}
	if topics != nil {
		request.Topics = []msg.MetadataRequestTopic{}
	}
	for _, name := range topics {
		request.Topics = append(request.Topics, msg.MetadataRequestTopic{Name: wire.Str(name)})
	}
	var answer msg.MetadataResponse
	if err := c.call(request, &answer, 12); err != nil {
		return nil, err
	}
	c.brokers = answer.Brokers
	slices.SortFunc(answer.Topics, func(a, b msg.MetadataResponseTopic) int { return cmp.Compare(a.Name.String, b.Name.String) })
	for _, t := range answer.Topics {
		slices.SortFunc(t.Partitions, func(a, b msg.MetadataResponsePartition) int { return cmp.Compare(a.PartitionIndex, b.PartitionIndex) })
	}
	return &answer, nil
}

// controller is a connection to the broker that changes topics.
func (c *client) controller() (*client, error) {
	m, err := c.metadata([]string{})
	if err != nil {
		return nil, err
	}
	return c.peer(m.ControllerId)
}

// coordinator is a connection to the broker that a group belongs to.
func (c *client) coordinator(group string) (*client, error) {
	var answer msg.FindCoordinatorResponse
	if err := c.call(&msg.FindCoordinatorRequest{CoordinatorKeys: []string{group}}, &answer, 4); err != nil {
		return nil, err
	}
	if len(answer.Coordinators) != 1 {
		return nil, fmt.Errorf("group %s: the broker names %d coordinators", group, len(answer.Coordinators))
	}
	found := answer.Coordinators[0]
	if err := codeError(found.ErrorCode, found.ErrorMessage, "group "+group); err != nil {
		return nil, err
	}
	return c.peer(found.NodeId)
}

// codeError is the error that a code in a response stands for, nil for none.
func codeError(code int16, message wire.NullString, subject string) error {
	if code == 0 {
		return nil
	}
	text := kerr.Code(code).Message()
	if message.Valid && message.String != "" {
		text = message.String
	}
	err := fmt.Errorf("%s: %s: %s", subject, kerr.Code(code).Name(), text)
	switch kerr.Code(code) {
	case kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator:
		return unsettledError{err}
	}
	return err
}

// unsettledError says that a group's coordinator is about to be there.
type unsettledError struct{ error }

// unsettledPause is the time between two questions to such a group.
const unsettledPause = 50 * time.Millisecond

// settled carries a command out again, from the start, while a coordinator is
// about to be there and the command has time left.
func (c *client) settled(ctx context.Context, f func() error) error {
	for {
		err := f()
		if !errors.As(err, &unsettledError{}) || time.Until(c.deadline) < unsettledPause || !clock.Sleep(ctx, clock.Real, unsettledPause) {
			return err
		}
	}
}

// waitMs is what is left of the command's time, for requests that say how long
// the broker may take.
func (c *client) waitMs() int32 { return int32(max(1, time.Until(c.deadline).Milliseconds())) }

// clientCommand is a command that asks a running broker.
func (a *app) clientCommand(use, short string, args cobra.PositionalArgs, f func(cmd *cobra.Command, c *client, args []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(a.output); err != nil {
			return err
		}
		c, err := a.connect()
		if err != nil {
			return err
		}
		defer c.close()
		return c.settled(cmd.Context(), func() error { return f(cmd, c, args) })
	}}
	a.addClientFlags(cmd)
	return cmd
}
