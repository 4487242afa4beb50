package servertest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	client "github.com/jlaffaye/ftp"

	"penstock/ingest/source/servertest"
)

// TestRelay holds what a relay promises: the bytes, and the latency.
func TestRelay(t *testing.T) {
	const latency = 40 * time.Millisecond
	server := servertest.Start(t, servertest.VSFTPD, servertest.Options{})
	data := bytes.Repeat([]byte("0123456789abcdef\n"), 50_000)
	server.Put("x.csv", data, time.Now())
	relay := ftpRelay(t, server, latency)
	for _, extended := range []bool{true, false} {
		began := time.Now()
		conn, err := client.Dial(relay.Address(), client.DialWithDisabledEPSV(!extended))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Login(server.User, server.Password); err != nil {
			t.Fatal(err)
		}
		// The greeting arrives after half of it; USER, PASS, FEAT and TYPE are at
		// least three answers.
		if took := time.Since(began); took < 3*latency {
			t.Errorf("the login took %v, with %v for each answer", took, latency)
		}
		began = time.Now()
		var got []byte
		r, err := conn.Retr("x.csv")
		if err == nil {
			got, err = io.ReadAll(r)
			err = errors.Join(err, r.Close())
		}
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("got %d bytes, want %d: %v", len(got), len(data), err)
		}
		if took := time.Since(began); took < 2*latency { // the passive mode, and the file
			t.Errorf("the file took %v, with %v for each answer", took, latency)
		}
		if err := conn.Quit(); err != nil {
			t.Error(err)
		}
	}
}

// TestRelayFails holds that a relay that is cut breaks what there is and refuses
// what comes, one that is held up loses nothing, and that both can be mended.
func TestRelayFails(t *testing.T) {
	server := servertest.Start(t, servertest.VSFTPD, servertest.Options{})
	relay, err := servertest.NewRelay(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp4", relay.Address())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	greets := func(conn net.Conn, within time.Duration) error {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		_, err := io.ReadFull(conn, make([]byte, 3))
		return err
	}
	first := dial()
	defer first.Close()
	if err := greets(first, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	relay.Hold()
	second := dial()
	defer second.Close()
	if err := greets(second, 100*time.Millisecond); !errors.As(err, new(net.Error)) {
		t.Errorf("held up, it still gives %v", err)
	}
	relay.Mend()
	if err := greets(second, 10*time.Second); err != nil {
		t.Errorf("mended, it gives %v", err)
	}
	relay.Cut()
	if _, err := io.Copy(io.Discard, second); err == nil {
		t.Error("cut off, it ends as if all were well")
	}
	if third, err := net.Dial("tcp4", relay.Address()); err == nil { // it may be broken while it is made
		defer third.Close()
		if err := greets(third, 10*time.Second); err == nil {
			t.Error("cut off, it still greets")
		}
	}
	relay.Mend()
	fourth := dial()
	defer fourth.Close()
	if err := greets(fourth, 10*time.Second); err != nil {
		t.Errorf("mended, it gives %v", err)
	}
}

func ftpRelay(t *testing.T, server *servertest.Server, latency time.Duration) *servertest.Relay {
	t.Helper()
	relay, err := servertest.NewFTPRelay(server.Address, latency)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relay.Close() }) // it always can
	return relay
}
