package main

import (
	"context"
	"fmt"
	"net"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/ingest/push"
)

// receive opens the address to which gateways push, if there is one.
func (s *service) receive() error {
	c := s.config.Ingest.HTTP
	if c.Listen == "" {
		return nil
	}
	cluster, err := connection.New(s.config.Kafka.Config)
	if err != nil {
		return usageError{err}
	}
	if c.Topic == "" {
		c.Topic = s.config.Kafka.Topics[0]
	}
	transport := cluster.Transport()
	writer := &kafkago.Writer{
		Addr: cluster.Addr(), Transport: transport, Topic: c.Topic, RequiredAcks: kafkago.RequireAll, Compression: kafkago.Zstd,
		BatchTimeout: 5 * time.Millisecond, BatchBytes: c.MaxBodyBytes + 1<<10, AllowAutoTopicCreation: true,
	}
	s.push, err = push.Listen(push.Options{Config: c, MaxRecord: s.config.Ingest.MaxRecordBytes, Writer: writer, Registerer: s.registry, Log: s.log})
	if err != nil {
		return err
	}
	s.onClose(func(ctx context.Context) error {
		err := s.push.Close(ctx)
		if failed := writer.Close(); err == nil {
			err = failed
		}
		transport.CloseIdleConnections()
		return err
	})
	go func() {
		if err := s.push.Serve(); err != nil {
			s.log.Error("no more telemetry is received over HTTP", "error", err)
		}
	}()
	s.log.Info("gateways can push telemetry", "url", fmt.Sprintf("%s://%s%s", scheme(c), s.push.Address(), push.Path), "topic", c.Topic)
	if c.TLS.CertFile == "" && !loopback(s.push.Address()) {
		s.log.Warn("pushed telemetry and the token that protects it are not encrypted; set ingest.http.tls or listen on 127.0.0.1 behind a proxy")
	}
	return nil
}

func scheme(c push.Config) string {
	if c.TLS.CertFile == "" {
		return "http"
	}
	return "https"
}

func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
