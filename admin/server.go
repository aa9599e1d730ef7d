package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"chronik/internal/clock"
)

// Options are what the server needs to know of the node.
type Options struct {
	// Ready says why the node is not serving, nil if it is: the leader of the
	// metadata is known and the local partitions are open. Nil: always ready.
	Ready func() error
	// ReadyWait is how long Ready may take. Zero: one second.
	ReadyWait time.Duration
	// WriteMetrics writes every series, of the given media type.
	WriteMetrics func(io.Writer) error
	ContentType  string
	// Clock times ReadyWait. Nil: clock.Real.
	Clock  clock.Clock
	Logger *slog.Logger
}

// Server is a running HTTP server.
type Server struct {
	opts Options
	http http.Server
	done chan struct{}
}

// Limits of a client that means no good, or has stopped reading.
const (
	headerReadMax  = 5 * time.Second
	responseMax    = 30 * time.Second
	idleMax        = 2 * time.Minute
	headerBytesMax = 16 << 10
)

// Serve answers on the listener until Close; it takes the listener over.
func Serve(listener net.Listener, opts Options) *Server {
	if opts.ReadyWait == 0 {
		opts.ReadyWait = time.Second
	}
	if opts.Clock == nil {
		opts.Clock = clock.Real
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: opts, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /ready", s.ready)
	mux.HandleFunc("GET /metrics", s.metrics)
	s.http = http.Server{Handler: mux, ReadHeaderTimeout: headerReadMax, ReadTimeout: headerReadMax,
		WriteTimeout: responseMax, IdleTimeout: idleMax, MaxHeaderBytes: headerBytesMax,
		ErrorLog: slog.NewLogLogger(opts.Logger.Handler(), slog.LevelDebug)}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			opts.Logger.Error("the metrics port has failed", "addr", listener.Addr(), "err", err)
		}
	}()
	return s
}

// Close stops listening and waits for requests in flight until the context
// ends; what is still open then is cut off.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	<-s.done
	return err
}

// health says that the process is alive, which it proves by answering.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, "alive\n")
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.askReady(); err != nil {
		answer(w, http.StatusServiceUnavailable, fmt.Sprintf("not ready: %v\n", err))
		return
	}
	answer(w, http.StatusOK, "ready\n")
}

var errStuck = errors.New("the node does not answer")

func (s *Server) askReady() error {
	if s.opts.Ready == nil {
		return nil
	}
	result := make(chan error, 1)
	go func() { result <- s.opts.Ready() }()
	late := make(chan struct{})
	timer := s.opts.Clock.AfterFunc(s.opts.ReadyWait, func() { close(late) })
	defer timer.Stop()
	select {
	case err := <-result:
		return err
	case <-late:
		return errStuck
	}
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	var page bytes.Buffer
	if err := s.opts.WriteMetrics(&page); err != nil {
		// What could be gathered is worth more than none: the page goes out.
		s.opts.Logger.Error("a series could not be gathered", "err", err)
		if page.Len() == 0 {
			answer(w, http.StatusInternalServerError, fmt.Sprintf("%v\n", err))
			return
		}
	}
	w.Header().Set("Content-Type", s.opts.ContentType)
	_, _ = w.Write(page.Bytes()) // an error here is the client's
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
