// Package pgtest runs a private PostgreSQL server from the programs that a Debian or similar package installs: no container, no root, no
// change to a server that runs already. It syncs to disk as a production server does, so what is measured on it holds. It is for tests and for
// benchmarks.
package pgtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrMissing means that no PostgreSQL server programs were found.
var ErrMissing = errors.New("PostgreSQL is not installed: initdb and postgres are neither on the PATH nor in /usr/lib/postgresql")

// Cluster is a running server.
type Cluster struct {
	dir      string
	server   *exec.Cmd
	exited   chan struct{} // closed once server has ended
	database atomic.Int64
}

// startTimeout bounds how long a new server may take until it answers.
const startTimeout = 30 * time.Second

// Start makes a cluster in a temporary folder and waits until it answers. It listens on a Unix socket in that folder alone. PostgreSQL
// refuses to run as root: started by root, it runs as the user postgres. ErrMissing when it is not installed.
func Start(ctx context.Context) (*Cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		return nil, fmt.Errorf("make folder for PostgreSQL: %w", err)
	}
	c := &Cluster{dir: dir, exited: make(chan struct{})}
	if err := c.start(ctx, bin); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, bin string) error {
	data := filepath.Join(c.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata", data, "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	initdb.Dir = c.dir
	if err := asServerUser(initdb, c.dir); err != nil {
		return err
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(c.dir, "log"))
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	defer log.Close()
	// The server outlives ctx, until Stop.
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", c.dir, "-c", "listen_addresses=",
		"-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on",
		"-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB", "-c", "max_connections=100")
	server.Dir, server.Stdout, server.Stderr = c.dir, log, log
	if err := asServerUser(server, c.dir); err != nil {
		return err
	}
	endWithUs(server.SysProcAttr)
	started := make(chan error)
	go func() {
		// "Us" is the thread that starts the server: it must last as long as the server does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := server.Start()
		started <- err
		if err == nil {
			_ = server.Wait()
			close(c.exited)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	c.server = server
	return c.answering(ctx)
}

func (c *Cluster) answering(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-again.C:
		case <-c.exited:
			return fmt.Errorf("PostgreSQL ended while it started:\n%s", c.logTail())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, c.logTail())
		}
	}
}

func (c *Cluster) logTail() []byte {
	log, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return nil
	}
	lines := bytes.SplitAfter(log, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-20):], nil)
}

// URL is the address of the cluster's own database.
func (c *Cluster) URL() string { return c.url("postgres") }

func (c *Cluster) url(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {c.dir}, "user": {"postgres"}}.Encode()
}

// NewDatabase makes an empty database and gives its URL. It lives as long as the cluster.
func (c *Cluster) NewDatabase(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		return "", fmt.Errorf("make database: %w", err)
	}
	defer conn.Close(ctx)
	name := fmt.Sprintf("hub%d", c.database.Add(1))
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("make database: %w", err)
	}
	return c.url(name), nil
}

// Stop ends the server and removes everything it kept. Stopping twice is no error.
func (c *Cluster) Stop() error {
	if c.server != nil {
		// A quit is PostgreSQL's immediate shutdown: it waits for no session and writes nothing that is about to be removed.
		_ = c.server.Process.Signal(syscall.SIGQUIT)
		select {
		case <-c.exited:
		case <-time.After(10 * time.Second):
			_ = c.server.Process.Kill()
			<-c.exited
		}
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove PostgreSQL's folder: %w", err)
	}
	return nil
}

// programs finds the folder with the server's programs: the one on the PATH, or else the newest that Debian installs.
func programs() (string, error) {
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", fmt.Errorf("look for PostgreSQL: %w", err)
	}
	slices.SortFunc(installed, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(b, a)) }) // 16 before 9
	var candidates []string
	if path, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(path))
	}
	for _, dir := range append(candidates, installed...) {
		if isProgram(filepath.Join(dir, "initdb")) && isProgram(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", ErrMissing
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
