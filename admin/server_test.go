package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"chronik/internal/clock"
)

func start(t *testing.T, opts Options) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(listener, opts)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return "http://" + listener.Addr().String()
}

func requireAnswer(t *testing.T, method, url string, status int, body string) http.Header {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status || (body != "" && string(got) != body) {
		t.Errorf("%s: %d %q, want %d %q", url, response.StatusCode, got, status, body)
	}
	return response.Header
}

func TestAnswers(t *testing.T) {
	var notReady error
	var metricsErr error
	page := "a 1\n"
	url := start(t, Options{
		Ready:       func() error { return notReady },
		ContentType: "text/x",
		WriteMetrics: func(w io.Writer) error {
			_, _ = io.WriteString(w, page)
			return metricsErr
		},
	})
	requireAnswer(t, "GET", url+"/health", 200, "alive\n")
	requireAnswer(t, "GET", url+"/ready", 200, "ready\n")
	header := requireAnswer(t, "GET", url+"/metrics", 200, "a 1\n")
	if header.Get("Content-Type") != "text/x" {
		t.Errorf("content type %q", header.Get("Content-Type"))
	}
	requireAnswer(t, "POST", url+"/metrics", 405, "")
	requireAnswer(t, "GET", url+"/", 404, "")

	notReady = errors.New("2 of 3 partitions open")
	requireAnswer(t, "GET", url+"/ready", 503, "not ready: 2 of 3 partitions open\n")
	requireAnswer(t, "GET", url+"/health", 200, "alive\n")

	metricsErr = errors.New("one series")
	requireAnswer(t, "GET", url+"/metrics", 200, "a 1\n")
	page = ""
	requireAnswer(t, "GET", url+"/metrics", 500, "one series\n")
}

func TestAnswersWhileTheNodeIsStuck(t *testing.T) {
	manual := clock.NewManual(time.Unix(0, 0))
	release, entered := make(chan struct{}), make(chan struct{})
	defer close(release)
	url := start(t, Options{Clock: manual, Ready: func() error {
		close(entered)
		<-release
		return nil
	}})
	go func() {
		<-entered
		for {
			if _, pending := manual.Next(); pending {
				manual.Advance(time.Second)
				return
			}
		}
	}()
	requireAnswer(t, "GET", url+"/ready", 503, "not ready: the node does not answer\n")
	requireAnswer(t, "GET", url+"/health", 200, "alive\n")
}

func TestCloseStopsListening(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(listener, Options{})
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("the port still answers")
	}
}
