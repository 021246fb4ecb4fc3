package bus

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	hubUser     = "hub"
	inboxPrefix = "_HUB"
)

// startEmbedded runs a NATS server with JetStream in this process.
//
// Its port, when it has one, is for partners on this machine, and whoever can reach it is taken for one: without a name and a password
// they may send requests and hear answers, and nothing else. The hub itself comes in by secret.
func startEmbedded(cfg Config, secret string) (*server.Server, error) {
	if cfg.StoreDir == "" {
		return nil, errors.New("open the bus: neither a NATS URL nor a folder for an embedded server is configured; set one")
	}
	if cfg.Replicas > 1 {
		return nil, fmt.Errorf("open the bus: %d replicas need a NATS cluster; set its URL, or one replica", cfg.Replicas)
	}
	options := &server.Options{
		ServerName:             cfg.Name,
		DontListen:             cfg.ListenAddr == "",
		JetStream:              true,
		StoreDir:               cfg.StoreDir,
		JetStreamMaxMemory:     32 << 20, // nothing is kept in memory streams
		JetStreamMaxStore:      2 * maxStreamBytes,
		DisableJetStreamBanner: true,
		NoSigs:                 true, // signals are the command's
	}
	if cfg.ListenAddr != "" {
		host, port, err := loopback(cfg.ListenAddr)
		if err != nil {
			return nil, err
		}
		options.Host, options.Port = host, port
		options.NoAuthUser = "partner"
		options.Users = []*server.User{
			{Username: hubUser, Password: secret},
			{Username: options.NoAuthUser, Password: rand.Text(), Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{SubjectReferrals}},
				// Not _INBOX.> and so not the answers to the hub itself, which has a prefix of its own.
				Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.*", "_INBOX.*.*"}},
			}},
		}
	}
	srv, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("make the embedded NATS server: %w", err)
	}
	srv.SetLoggerV2(serverLog{cfg.Log}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(20*time.Second) || !srv.JetStreamEnabled() {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("start the embedded NATS server on %s: it did not become ready; see its log. "+
			"A damaged folder may be deleted: no transfer is lost", cfg.StoreDir)
	}
	return srv, nil
}

func loopback(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("listen address of the embedded NATS server: %w", err)
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return "", 0, fmt.Errorf("the embedded NATS server listens on loopback addresses only, not %q; run a NATS server for other machines and set its URL", host)
	}
	port, err = strconv.Atoi(p)
	if err != nil {
		return "", 0, fmt.Errorf("listen address of the embedded NATS server: port %q", p)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// serverLog passes on what an operator can act on; the server's notices are for debugging.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) {
	l.log.Debug("nats server", "notice", fmt.Sprintf(format, v...))
}
func (l serverLog) Warnf(format string, v ...any) {
	l.log.Warn("nats server", "notice", fmt.Sprintf(format, v...))
}
func (l serverLog) Errorf(format string, v ...any) {
	l.log.Error("nats server", "notice", fmt.Sprintf(format, v...))
}
func (l serverLog) Fatalf(format string, v ...any) {
	l.log.Error("nats server", "notice", fmt.Sprintf(format, v...))
}
func (l serverLog) Debugf(string, ...any) {}
func (l serverLog) Tracef(string, ...any) {}
