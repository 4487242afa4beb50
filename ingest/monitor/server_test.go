package monitor

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// An answered is the body of /healthz and /readyz.
type answered struct {
	Status           string
	Missing, Waiting []Want
}

func ask(t *testing.T, url string) (int, answered) {
	t.Helper()
	code, body := get(t, url)
	var a answered
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return code, a
}

func TestReadyWhenStoreAndLeasesAreThere(t *testing.T) {
	m := newTested()
	url := serve(t, m, false) + "/readyz"
	expectMissing := func(want ...Want) {
		t.Helper()
		code, got := ask(t, url)
		wantCode := http.StatusOK
		if len(want) > 0 {
			wantCode = http.StatusServiceUnavailable
		}
		if code != wantCode || len(got.Missing) != len(want) {
			t.Fatalf("%d %+v, want %d %+v", code, got, wantCode, want)
		}
		for i := range want {
			if got.Missing[i] != want[i] {
				t.Errorf("missing %+v, want %+v", got.Missing[i], want[i])
			}
		}
	}
	expectMissing(Want{"sources", "", "none is followed yet"}, Want{"store", "", "it has not been reached yet"})
	m.Follow("field", time.Minute)
	m.Follow("works", time.Minute)
	m.Store("the schema has version 1, this program needs 2")
	expectMissing(Want{"store", "", "the schema has version 1, this program needs 2"})
	m.Store("")
	expectMissing()
	m.Lease("field", false, "held by db7, process 12")
	m.Lease("works", true, "")
	expectMissing(Want{"lease", "field", "held by db7, process 12"})
	m.Lease("field", true, "")
	expectMissing()
}

func TestHealthyWhileThereIsProgress(t *testing.T) {
	m := newTested()
	now := at
	m.now = func() time.Time { return now }
	url := serve(t, m, false) + "/healthz"
	expectStuck := func(source, reason string) {
		t.Helper()
		code, got := ask(t, url)
		if reason == "" {
			if code != http.StatusOK || len(got.Missing) > 0 {
				t.Fatalf("%d %+v, want it healthy", code, got)
			}
			return
		}
		if code != http.StatusServiceUnavailable || len(got.Missing) != 1 || got.Missing[0].Source != source || !strings.Contains(got.Missing[0].Reason, reason) {
			t.Fatalf("%d %+v, want %s stuck: %s", code, got, source, reason)
		}
	}
	m.Supervised(time.Minute)
	expectStuck("", "")
	now = now.Add(2 * time.Minute)
	expectStuck("", "the supervisor was to be heard of 1m0s ago")
	m.Supervised(100_000 * time.Hour)
	m.Store("")
	m.Follow("field", time.Minute)
	m.Follow("yearly", time.Hour)
	expectStuck("", "")
	now = now.Add(11 * time.Minute)
	expectStuck("field", "no listing and no commit ended for 11m0s")
	m.Observe(ingest.Event{Source: "field"})
	expectStuck("", "")

	// What is told to wait is not stuck, as long as that is told.
	now = now.Add(9 * time.Minute)
	m.Waits("field", "the server is away")
	now = now.Add(9 * time.Minute)
	expectStuck("", "")
	if _, got := ask(t, url); len(got.Waiting) != 1 || got.Waiting[0].Reason != "the server is away" {
		t.Errorf("waiting: %+v", got.Waiting)
	}
	now = now.Add(2 * time.Minute)
	expectStuck("field", "no listing and no commit")

	// Who stands by may do so for years, and has his time when it ends.
	m.Lease("field", false, "held by db7")
	m.Lease("yearly", false, "held by db7")
	now = now.AddDate(3, 0, 0)
	expectStuck("", "")
	m.Lease("field", true, "")
	m.Lease("yearly", true, "")
	expectStuck("", "")

	// Without a store nothing can go on.
	m.Store("connection refused")
	now = now.Add(3 * time.Hour)
	expectStuck("", "")
	m.Store("")
	expectStuck("", "")
	now = now.Add(4 * time.Hour)
	m.Observe(ingest.Event{Source: "field"})
	expectStuck("yearly", "4h")
}

func TestProfilesAreServedOnlyWhenAskedFor(t *testing.T) {
	m := newTested()
	if code, _ := get(t, serve(t, m, false)+"/debug/pprof/goroutine?debug=1"); code != http.StatusNotFound {
		t.Errorf("not asked for, and answered with %d", code)
	}
	s, err := m.Listen("127.0.0.1:0", false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for on, want := range map[bool]int{true: http.StatusOK, false: http.StatusNotFound} {
		s.Profile(on)
		answer := httptest.NewRecorder()
		s.server.Handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/debug/pprof/goroutine?debug=1", nil))
		if answer.Code != want {
			t.Errorf("with profiles %t it answers %d", on, answer.Code)
		}
	}
	if err := s.listener.Close(); err != nil {
		t.Fatal(err)
	}
	code, body := get(t, serve(t, m, true)+"/debug/pprof/goroutine?debug=1")
	if code != http.StatusOK || !strings.Contains(body, "goroutine profile") {
		t.Errorf("%d %s", code, body)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Post(serve(t, m, true)+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST answered with %d", response.StatusCode)
	}
}

func TestWhereItCannotListenItSaysWhatToDo(t *testing.T) {
	m := newTested()
	taken := strings.TrimPrefix(serve(t, m, false), "http://")
	for address, want := range map[string]string{
		taken:               "something else listens there",
		"192.0.2.77:9090":   "this machine has no such address",
		"127.0.0.1":         "write HOST:PORT",
		"127.0.0.1:9090000": "write HOST:PORT",
	} {
		_, err := m.Listen(address, false, slog.New(slog.DiscardHandler))
		var listen *ListenError
		if !errors.As(err, &listen) || !strings.Contains(err.Error(), address) || !strings.Contains(listen.Hint(), want) {
			t.Errorf("%s: %v, hint %q; want %q", address, err, listen.Hint(), want)
		}
	}
}

// Listings that go on are no progress while files wait and none is dealt with.
func TestFilesThatWaitForEverAreNoProgress(t *testing.T) {
	m := newTested()
	now := at
	m.now = func() time.Time { return now }
	m.Store("")
	m.Follow("field", time.Minute)
	goOn := func(minutes int, c ingest.Cycle) {
		for range minutes {
			now = now.Add(time.Minute)
			m.Observe(ingest.Event{Source: "field", Cycle: &c})
			m.Observe(ingest.Event{Source: "field", Outcomes: []ingest.Outcome{{State: ingest.Known}}})
		}
	}
	expectStuck := func(want string) {
		t.Helper()
		if got := m.Stuck(); want == "" && len(got) != 0 || want != "" && (len(got) != 1 || got[0].Reason != want) {
			t.Errorf("stuck: %+v, want %q", got, want)
		}
	}
	goOn(12, ingest.Cycle{Over: true, Queued: 7})
	expectStuck("7 files wait and 0 are under way, and none was dealt with for 12m0s")
	m.Observe(ingest.Event{Source: "field", Worker: 2, Outcomes: []ingest.Outcome{{State: ingest.Loaded}}})
	expectStuck("")
	goOn(120, ingest.Cycle{Over: true, Queued: 7, UnderWay: 1}) // a large file over a slow line
	expectStuck("")
	goOn(61, ingest.Cycle{Over: true, Queued: 7, UnderWay: 1})
	expectStuck("7 files wait and 1 are under way, and none was dealt with for 3h1m0s")
	goOn(12, ingest.Cycle{Over: true})
	expectStuck("")
}
