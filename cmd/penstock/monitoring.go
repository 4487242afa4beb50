package main

import (
	"context"
	"log/slog"

	"penstock/ingest/monitor"
)

// metricsServer serves what the monitor knows, where the config wants it.
type metricsServer struct {
	config monitorConfig
	server *monitor.Server
	end    context.CancelFunc
	done   chan struct{}
}

// serveMetrics serves at the address of a config, and no longer at that of the
// one before. An error says that it cannot, and all stays as it was.
func (d *daemon) serveMetrics(c monitorConfig) error {
	server, err := d.listen(c)
	if err == nil {
		d.serveAt(c, server)
	}
	return err
}

// listen listens at the address of a config, for serveAt; nil where that is none,
// or the one before.
func (d *daemon) listen(c monitorConfig) (*monitor.Server, error) {
	if c.listen == "" || d.metrics != nil && d.metrics.config.listen == c.listen {
		return nil, nil
	}
	return d.monitor.Listen(c.listen, c.pprof, d.log)
}

// serveAt serves by a config, with what listens for it.
func (d *daemon) serveAt(c monitorConfig, server *monitor.Server) {
	before := d.metrics
	switch {
	case server != nil:
		before.close()
		d.metrics = serveWith(d, c, server)
	case c.listen == "":
		before.close()
		d.metrics = nil
	default:
		before.server.Profile(c.pprof)
		before.config = c
	}
}

func serveWith(d *daemon, c monitorConfig, server *monitor.Server) *metricsServer {
	ctx, end := context.WithCancel(context.Background()) // until close: it answers while what is under way is finished
	m := &metricsServer{config: c, server: server, end: end, done: make(chan struct{})}
	d.log.Info("metrics and health are served", slog.String("address", server.Address()))
	go func() {
		defer close(m.done)
		if err := server.Serve(ctx); err != nil {
			d.log.Error("metrics and health are not served any more", slog.Any("error", err))
		}
	}()
	return m
}

// close ends the serving; of none, nothing.
func (m *metricsServer) close() {
	if m != nil {
		m.end()
		<-m.done
	}
}
