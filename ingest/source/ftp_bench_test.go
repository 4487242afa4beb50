package source_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jlaffaye/ftp"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/ingest/source/servertest"
)

// ftpConnections is how many connections benchmarks fetch by.
const ftpConnections = 4

// BenchmarkFetchFTP fetches 27,000 small files from vsftpd. The metric x-bare
// is the time of Fetch over that of a bare loop of RETR by as many connections;
// files/s is how many files Fetch brings.
func BenchmarkFetchFTP(b *testing.B) {
	for name, mode := range map[string]servertest.TLS{"plain": servertest.Plain, "TLS": servertest.Explicit} {
		b.Run(name, func(b *testing.B) { benchmarkFTP(b, mode) })
	}
}

func benchmarkFTP(b *testing.B, mode servertest.TLS) {
	files := 27000
	if mode != servertest.Plain {
		files = 2000 // each is a handshake
	}
	server := servertest.Start(b, servertest.VSFTPD, servertest.Options{TLS: mode})
	for i := range files {
		server.Put(fmt.Sprintf("district-%03d/logger-%05d_20260101.csv", i/1000, i),
			fmt.Appendf(nil, "logger,channel,time,value\nL%05d,flow,2026-01-01T00:00:00Z,%d.5\nL%05d,pressure,2026-01-01T00:00:00Z,%d.25\n", i, i, i, i), then)
	}
	r := newRemote(b, server, "", func(o *source.RemoteOptions) { o.Connections = ftpConnections })
	var all []ingest.File
	for f, err := range r.Files(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, f)
	}
	var took time.Duration
	ours := func() int {
		start := time.Now()
		defer func() { took += time.Since(start) }()
		return spread(all, ftpConnections, func(part []ingest.File) (n int) {
			var c ingest.Content
			for _, f := range part {
				if err := r.Fetch(context.Background(), f, &c); err == nil && len(c.Data) > 0 {
					n++
				}
			}
			return n
		})
	}
	bare := bareLoop(b, server)
	b.ReportAllocs()
	x := ratio(b, len(all), ours, func() int { return spread(all, ftpConnections, bare) })
	b.ReportMetric(x, "x-bare")
	b.ReportMetric(float64(len(all)*b.N)/took.Seconds(), "files/s")
}

// bareLoop returns what fetches files by one of some connections that do
// nothing else.
func bareLoop(b *testing.B, server *servertest.Server) func([]ingest.File) int {
	conns := make(chan *ftp.ServerConn, ftpConnections)
	for range ftpConnections {
		conns <- dialBare(b, server)
	}
	return func(part []ingest.File) (n int) {
		conn := <-conns
		defer func() { conns <- conn }()
		buf := make([]byte, 64<<10)
		for _, f := range part {
			body, err := conn.Retr(f.Path)
			if err != nil {
				return n
			}
			got := 0
			for err == nil {
				var k int
				k, err = body.Read(buf)
				got += k
			}
			if closed := body.Close(); closed == nil && err == io.EOF && got > 0 { //nolint:errorlint // a reader returns it bare
				n++
			}
		}
		return n
	}
}

// dialBare logs in with the library alone.
func dialBare(b *testing.B, server *servertest.Server) *ftp.ServerConn {
	b.Helper()
	var options []ftp.DialOption
	if server.Options.TLS != servertest.Plain {
		pem, err := os.ReadFile(server.CA)
		if err != nil {
			b.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		options = append(options, ftp.DialWithExplicitTLS(&tls.Config{ServerName: "127.0.0.1", RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(1)}))
	}
	conn, err := ftp.Dial(server.Address, options...)
	if err == nil {
		err = conn.Login(server.User, server.Password)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Quit() }) // the benchmark is over
	return conn
}

// spread gives each of n goroutines a part of the files and adds what they
// return.
func spread(files []ingest.File, n int, do func([]ingest.File) int) int {
	var sum atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { sum.Add(int64(do(files[i*len(files)/n : (i+1)*len(files)/n]))) })
	}
	wg.Wait()
	return int(sum.Load())
}
