package handler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"chronik/broker"
	"chronik/broker/fetchsession"
	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/kafka/handler/groups"
	"chronik/kafka/handler/transactions"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// Broker is what the handlers need of the broker: the sum of what each file
// asks for. *broker.Broker is one.
type Broker interface {
	producing
	fetching
	offsetListing
	describing
	topicAdmin
	configAdmin
	recordAdmin
	coordinating
	electing
	txnMarking
	producerListing
	groups.Broker
	transactions.Broker
}

var _ Broker = (*broker.Broker)(nil)

// Conn is what a handler wants to know of a connection.
type Conn interface {
	Host() string                 // the peer's address without port
	Context() context.Context     // ends when the peer is gone
	PollContext() context.Context // ends also when the server shuts down
}

// Options are what a Handler needs.
type Options struct {
	Broker  Broker
	Clock   clock.Clock
	Logger  *slog.Logger
	Metrics *metrics.Metrics
	Rand    *rand.Rand // for fetch session ids; not shared with others
	// FetchSessions is max.incremental.fetch.session.cache.slots.
	FetchSessions int
}

// Handler answers requests for all connections.
type Handler struct {
	Broker
	produce  func(ctx context.Context, r *broker.ProduceRequest) produceUnderWay
	clock    clock.Clock
	log      *slog.Logger
	metrics  *metrics.Metrics
	sessions *fetchsession.Cache
	apis     []api
	byKey    [128]*api
	versions []msg.ApiVersion // what ApiVersions answers, by key
}

// New returns a handler of every API in the table.
func New(o Options) *Handler {
	h := &Handler{
		Broker: o.Broker, clock: o.Clock, log: o.Logger, metrics: o.Metrics,
		sessions: fetchsession.New(o.FetchSessions, o.Rand),
		apis:     table(),
	}
	h.produce = func(ctx context.Context, r *broker.ProduceRequest) produceUnderWay { return h.Produce(ctx, r) }
	for i := range h.apis {
		a := &h.apis[i]
		a.metrics = o.Metrics.Kafka.API(msg.Lookup(a.key).Name)
		h.byKey[a.key] = a
		h.versions = append(h.versions, msg.ApiVersion{ApiKey: a.key, MinVersion: a.advertisedMin, MaxVersion: a.max})
	}
	return h
}

// Session answers the requests of one connection. It implements
// kafka/server's Handler.
type Session struct {
	h             *Handler
	conn          Conn
	authenticated bool // every listener is plaintext: from the start

	// What the client said of itself in ApiVersions.
	softwareName, softwareVersion string
}

// Open begins the session of a new connection.
func (h *Handler) Open(c Conn) *Session {
	return &Session{h: h, conn: c, authenticated: true}
}

// Close ends the session. Fetch sessions outlive it: clients reconnect.
func (s *Session) Close() {}

// Overlaps reports whether the request is a Produce.
func (s *Session) Overlaps(frame []byte) bool {
	return len(frame) >= 2 && frame[0] == 0 && frame[1] == byte(msg.KeyProduce)
}

// Errors that close the connection.
var (
	errUnknownAPI         = errors.New("unknown API key")
	errUnsupportedVersion = errors.New("version is not supported")
	errUnauthenticated    = errors.New("request before authentication")
	errProduceFailed      = errors.New("a produce without acknowledgement failed")
)

// call is one request on its way.
type call struct {
	h       *Handler
	s       *Session
	api     *api
	header  msg.RequestHeader
	version int16
	in      wire.Reader
	out     *wire.Writer
	start   time.Time
	logged  bool // an error that nobody foresaw
}

// Serve answers one request; see kafka/server's Handler for the contract.
func (s *Session) Serve(frame []byte, out *wire.Writer) (wait func() error, release func(), err error) {
	c := &call{h: s.h, s: s, in: wire.NewReader(frame), out: out, start: s.h.clock.Now()}
	c.header.Decode(&c.in)
	if err := c.in.Err(); err != nil {
		return nil, nil, c.refuse("malformed", err)
	}
	c.version = c.header.ApiVersion
	if c.api = s.h.lookup(c.header.ApiKey); c.api == nil {
		return nil, nil, c.refuse("unknown_api", errUnknownAPI)
	}
	if c.version < c.api.min || c.version > c.api.max {
		if c.api.key == msg.KeyApiVersions && c.version > c.api.max {
			return nil, nil, c.unknownApiVersions()
		}
		return nil, nil, c.refuse("unsupported_version", errUnsupportedVersion)
	}
	if c.api.needsAuth && !s.authenticated {
		return nil, nil, c.refuse("unauthenticated", errUnauthenticated)
	}
	c.in.Limit(arrayBytesMax(c.header.ApiKey, len(frame)))
	return c.api.serve(c)
}

func (h *Handler) lookup(key int16) *api {
	if key < 0 || int(key) >= len(h.byKey) {
		return nil
	}
	return h.byKey[key]
}

// refuse counts a request that is not served and explains why.
func (c *call) refuse(reason string, err error) error {
	c.h.metrics.Kafka.FrameRejected(reason)
	c.h.log.Debug("request refused", "reason", reason, "api_key", c.header.ApiKey, "version", c.header.ApiVersion,
		"client_id", c.header.ClientId.String, "software", c.s.softwareName+" "+c.s.softwareVersion, "remote", c.s.conn.Host(), "err", err)
	return fmt.Errorf("API key %d version %d: %w", c.header.ApiKey, c.header.ApiVersion, err)
}

// decode reads the request's body. What is behind it is ignored.
func (c *call) decode(req msg.Request) error {
	req.Decode(&c.in, c.version)
	if err := c.in.Err(); err != nil {
		return c.refuse("malformed", err)
	}
	return nil
}

// reply encodes the response.
func (c *call) reply(resp msg.Response) error {
	msg.EncodeResponseHeader(c.out, c.api.key, c.version, c.header.CorrelationId)
	resp.Encode(c.out, c.version)
	c.observe()
	return c.out.Err()
}

func (c *call) observe() { c.api.metrics.Observe(c.h.clock.Now().Sub(c.start)) }

// Small conversions that many files share.

func milliseconds(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

// nullable is s, or null when s is empty.
func nullable(s string) wire.NullString { return wire.NullString{String: s, Valid: s != ""} }

// endpoints collects the addresses of leaders that an error response names.
type endpoints struct {
	nodes []broker.Node // of the cluster; asked for once
	used  []broker.Node
}

func (e *endpoints) add(h *Handler, id int32) {
	if e.nodes == nil {
		e.nodes = h.Nodes()
	}
	for _, n := range e.used {
		if n.ID == id {
			return
		}
	}
	for _, n := range e.nodes {
		if n.ID == id {
			e.used = append(e.used, n)
		}
	}
}
