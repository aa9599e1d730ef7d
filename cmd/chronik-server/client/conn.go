package client

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
)

// responseBytesMax bounds what a response's length prefix is believed.
const responseBytesMax = 256 << 20

// Conn is a connection to a broker's Kafka port, for one command. Requests
// go one after the other.
type Conn struct {
	conn        net.Conn
	addr        string
	deadline    time.Time
	versions    map[int16]msg.ApiVersion
	correlation int32
	peers       map[int32]*Conn // brokers that were asked too
	brokers     []msg.MetadataResponseBroker
}

// Dial connects and asks for the API versions.
func Dial(addr string, deadline time.Time) (*Conn, error) {
	conn, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", addr)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("no broker answers at %s: %w; want --bootstrap-server host:port of one that runs", addr, err)
	}
	c := &Conn{conn: conn, addr: addr, deadline: deadline, peers: map[int32]*Conn{},
		versions: map[int16]msg.ApiVersion{msg.KeyApiVersions: {ApiKey: msg.KeyApiVersions}}}
	if err := conn.SetDeadline(deadline); err != nil {
		c.Close()
		return nil, err
	}
	var answer msg.ApiVersionsResponse
	if err := c.Call(&msg.ApiVersionsRequest{}, &answer, 0); err != nil {
		c.Close()
		return nil, err
	}
	for _, v := range answer.ApiKeys {
		c.versions[v.ApiKey] = v
	}
	return c, CodeError(answer.ErrorCode, wire.NullString{}, "ApiVersions")
}

func (c *Conn) Close() {
	for _, peer := range c.peers {
		peer.Close()
	}
	_ = c.conn.Close() // nothing is in flight
}

// Call sends one request of that version and reads its response.
func (c *Conn) Call(request msg.Request, response msg.Response, version int16) error {
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

func (c *Conn) readFrame() ([]byte, error) {
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

// Peer is a connection to the broker with that id, made when it is needed.
func (c *Conn) Peer(id int32) (*Conn, error) {
	if c.peers[id] != nil {
		return c.peers[id], nil
	}
	if c.brokers == nil {
		if _, err := c.Metadata([]string{}); err != nil {
			return nil, err
		}
	}
	for _, b := range c.brokers {
		if b.NodeId == id {
			peer, err := Dial(net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))), c.deadline)
			if err == nil {
				c.peers[id] = peer
			}
			return peer, err
		}
	}
	return nil, fmt.Errorf("broker %d is not among those that %s knows", id, c.addr)
}

// Metadata asks for topics by name, nil for all of them. Topics and partitions
// come sorted.
func (c *Conn) Metadata(topics []string) (*msg.MetadataResponse, error) {
	request := &msg.MetadataRequest{}
	if topics != nil {
		request.Topics = []msg.MetadataRequestTopic{}
	}
	for _, name := range topics {
		request.Topics = append(request.Topics, msg.MetadataRequestTopic{Name: wire.Str(name)})
	}
	var answer msg.MetadataResponse
	if err := c.Call(request, &answer, 12); err != nil {
		return nil, err
	}
	c.brokers = answer.Brokers
	slices.SortFunc(answer.Topics, func(a, b msg.MetadataResponseTopic) int { return cmp.Compare(a.Name.String, b.Name.String) })
	for _, t := range answer.Topics {
		slices.SortFunc(t.Partitions, func(a, b msg.MetadataResponsePartition) int { return cmp.Compare(a.PartitionIndex, b.PartitionIndex) })
	}
	return &answer, nil
}

// ErrNoController says that the broker knows of nobody who could change topics.
var ErrNoController = errors.New("the cluster's metadata has no leader")

// controllerMax is how long Controller waits for one: longer than an election
// takes while most of those who vote are there.
const controllerMax = 5 * time.Second

// Controller is a connection to the broker that changes topics.
func (c *Conn) Controller(ctx context.Context) (*Conn, error) {
	for began := time.Now(); ; {
		m, err := c.Metadata([]string{})
		switch {
		case err != nil:
			return nil, err
		case m.ControllerId >= 0:
			return c.Peer(m.ControllerId)
		}
		if time.Since(began) > controllerMax || time.Until(c.deadline) < unsettledPause || !clock.Sleep(ctx, clock.Real, unsettledPause) {
			return nil, fmt.Errorf("%w, as far as the broker at %s knows: most of the nodes that vote are down, or out of its reach", ErrNoController, c.addr)
		}
	}
}

// Coordinator is a connection to the broker that a group belongs to.
func (c *Conn) Coordinator(group string) (*Conn, error) {
	var answer msg.FindCoordinatorResponse
	if err := c.Call(&msg.FindCoordinatorRequest{CoordinatorKeys: []string{group}}, &answer, 4); err != nil {
		return nil, err
	}
	if len(answer.Coordinators) != 1 {
		return nil, fmt.Errorf("group %s: the broker names %d coordinators", group, len(answer.Coordinators))
	}
	found := answer.Coordinators[0]
	if err := CodeError(found.ErrorCode, found.ErrorMessage, "group "+group); err != nil {
		return nil, err
	}
	return c.Peer(found.NodeId)
}

// CodeError is the error that a code in a response stands for, nil for none.
func CodeError(code int16, message wire.NullString, subject string) error {
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

// Settled carries a command out again, from the start, while a coordinator is
// about to be there and the command has time left.
func (c *Conn) Settled(ctx context.Context, f func() error) error {
	for {
		err := f()
		if !errors.As(err, &unsettledError{}) || time.Until(c.deadline) < unsettledPause || !clock.Sleep(ctx, clock.Real, unsettledPause) {
			return err
		}
	}
}

// WaitMs is what is left of the command's time, for requests that say how long
// the broker may take.
func (c *Conn) WaitMs() int32 { return int32(max(1, time.Until(c.deadline).Milliseconds())) }
