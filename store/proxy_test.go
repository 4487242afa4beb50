package store

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"penstock/store/pglocal/pgtest"

	"github.com/jackc/pgx/v5/pgconn"
)

// A wire is where a message was cut off.
type wire string

const (
	toServer wire = "to the server"
	toClient wire = "to the client"
)

// A proxy stands between the store and its database and forwards whole
// messages (PostgreSQL documentation, "Message Formats") until cut says
// otherwise of one of them.
type proxy struct {
	url    string
	target string // the server's socket
	listen net.Listener

	mu   sync.Mutex
	cut  func(w wire, n int, message []byte) verdictOnMessage // nil to let all pass
	seen map[wire]int
	open []net.Conn
	gone bool // nobody gets through, as if the network were cut
	wg   sync.WaitGroup
}

type verdictOnMessage int

const (
	pass      verdictOnMessage = iota
	cutBefore                  // the message is lost with the connection
	cutAfter                   // the message arrives, and then the connection is lost
)

// openBehindProxy makes a schema and opens it twice: straight, and through a proxy
// that can cut its connections.
func openBehindProxy(t *testing.T, appendMode bool) (straight, cut *Store, p *proxy) {
	t.Helper()
	direct := pgtest.Database(t)
	straight, err := Open(t.Context(), direct, Options{Create: true, Append: appendMode})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(straight.Close)
	p = startProxy(t, direct)
	if cut, err = Open(t.Context(), p.url, Options{untold: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cut.Close)
	return straight, cut, p
}

// startProxy forwards to the server of a URL of pglocal's.
func startProxy(t testing.TB, to string) *proxy {
	t.Helper()
	config, err := pgconn.ParseConfig(to)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "penstock-proxy-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	socket := ".s.PGSQL." + q.Get("port")
	p := &proxy{target: filepath.Join(config.Host, socket), seen: make(map[wire]int)}
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	p.url = u.String()
	if p.listen, err = net.Listen("unix", filepath.Join(dir, socket)); err != nil {
		t.Fatal(err)
	}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		p.listen.Close()
		p.mu.Lock()
		for _, c := range p.open {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
		os.RemoveAll(dir)
	})
	return p
}

// arm sets what is cut, and counts messages from now on. It returns what was
// counted before.
func (p *proxy) arm(cut func(w wire, n int, message []byte) verdictOnMessage) map[wire]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.cut, p.seen = cut, make(map[wire]int)
	return seen
}

// refuse cuts the network, or mends it.
func (p *proxy) refuse(gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone = gone; gone {
		for _, c := range p.open {
			c.Close()
		}
	}
}

func (p *proxy) serve() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.open = append(p.open, client, server)
		if p.gone {
			client.Close()
			server.Close()
		}
		p.mu.Unlock()
		end := func() { client.Close(); server.Close() }
		p.wg.Go(func() { defer end(); p.forward(toServer, client, server, true) })
		p.wg.Go(func() { defer end(); p.forward(toClient, server, client, false) })
	}
}

// forward sends messages on until one is cut or a side is gone. The first one
// of a client has no type byte.
func (p *proxy) forward(w wire, from io.Reader, to io.Writer, startup bool) {
	for {
		head := make([]byte, 5)
		if startup {
			head = head[1:]
		}
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
		message := slices.Concat(head, make([]byte, length))
		if _, err := io.ReadFull(from, message[len(head):]); err != nil {
			return
		}
		startup = false
		switch p.judge(w, message) {
		case cutBefore:
			return
		case cutAfter:
			_, _ = to.Write(message)
			return
		case pass:
		}
		if _, err := to.Write(message); err != nil && !errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

func (p *proxy) judge(w wire, message []byte) verdictOnMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.seen[w]
	p.seen[w]++
	if p.cut == nil {
		return pass
	}
	v := p.cut(w, n, message)
	if v != pass {
		p.cut = nil // once
	}
	return v
}
