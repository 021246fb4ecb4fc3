package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"referralhub/hub/server"
)

// The disk is full, and then somebody makes room.
func TestTheDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	smallDisk(t, dir)
	c := newCounty(t, "", func(cfg *server.Config) { cfg.Data = dir })
	sender, recipient := c.as(carersInHerts), c.as(ageUKHerts)
	before := c.insist(sender, c.example("adult-carer-hertswise").with("before", whose(joan))).Transfers[0]
	_, err := recipient.Token(t.Context())
	c.must(err)

	ballast := filepath.Join(dir, "somebody-elses-file")
	fill(t, ballast)
	taken := 0
	for i := range 60 { // what was set aside in the write-ahead log may take a few more
		if _, ok := c.offer(sender, c.example("adult-carer-hertswise").with("full-"+strconv.Itoa(i), whose(gwen))); !ok {
			break
		}
		taken++
	}
	if taken == 60 {
		t.Fatal("the disk is not full")
	}
	t.Logf("%d more were taken", taken)
	if got, err := recipient.Collect(t.Context(), before.ID); err == nil || got != nil {
		t.Error("a dataset was handed out although its release cannot be logged")
	}

	c.must(os.Remove(ballast))
	for i := range taken + 1 {
		c.insist(sender, c.example("adult-carer-hertswise").with("full-"+strconv.Itoa(i), whose(gwen)))
	}
	if _, err := recipient.Collect(t.Context(), before.ID); err != nil {
		t.Errorf("once there is room: %v", err)
	}
	c.until("everything has been announced", func() bool {
		c.sweepSoon()
		return len(c.outbox()) == 0
	})
	if report := c.audited(); report.Transfers != int64(taken+2) || report.Releases != 1 {
		t.Errorf("%d transfers, %d releases, want %d and 1", report.Transfers, report.Releases, taken+2)
	}
}

// The bus's own disk is full. Referrals are taken all the same, and every recipient hears of them once there is room.
func TestTheDiskOfTheBusIsFull(t *testing.T) {
	t.Parallel() // most of it is waiting
	var dir string
	c := newCounty(t, "", func(cfg *server.Config) {
		dir = filepath.Join(cfg.Data, "jetstream")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		smallDisk(t, dir)
	})
	sender := c.as(carersInHerts)
	send := func(first, n int) {
		for i := range n {
			if _, taken := c.offer(sender, c.example("adult-carer-hertswise").with("b-"+strconv.Itoa(first+i), whose(gwen))); !taken {
				t.Error("a referral was not taken because the bus has no room")
			}
		}
	}
	send(0, 1)
	c.until("the first has been announced", func() bool { return len(c.outbox()) == 0 })
	ballast := filepath.Join(dir, "somebody-elses-file")
	fill(t, ballast)
	send(1, 5)
	c.until("the bus has noticed", func() bool { return strings.Contains(c.log.String(), "no space left") })
	c.must(os.Remove(ballast))
	send(6, 5)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.log.String())
		}
	})
	c.until("everything has been announced", func() bool {
		c.sweepSoon()
		return len(c.outbox()) == 0
	})
	c.audited()
	c.stop()
}

// smallDisk puts a file system of its own, of a few megabytes, in a folder's place. It takes root. Where there is root and it cannot be had
// all the same, the test fails rather than pass unnoticed, unless mounting is forbidden there.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: a full disk takes a small file system, and mounting one takes root; TestTheHubAsAProcess limits the length of files instead")
	}
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m,mode=0700")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("SKIPPED: mounting a small file system is forbidden here, even to root; TestTheHubAsAProcess limits the length of files instead: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill takes up what is left of a disk.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := strings.Repeat("x", 64<<10); len(block) > 0; {
		if _, err := f.WriteString(block); err != nil {
			block = block[:len(block)/2]
		}
	}
}

// filesMayNotGrow stands in for a full disk where no small one can be mounted: no file of the process may become longer than a limit, and then
// the limit is lifted.
func filesMayNotGrow(t *testing.T, binary string) {
	t.Parallel()
	c := newCounty(t, "")
	c.stop()
	k := &killing{county: c, binary: binary}
	hub := k.serve()
	k.Cleanup(func() { hub.Process.Kill(); hub.Wait() })
	sender := k.ready(carersInHerts)
	limit := func(bytes uint64) {
		var now unix.Rlimit
		k.must(unix.Prlimit(hub.Process.Pid, unix.RLIMIT_FSIZE, nil, &now))
		k.must(unix.Prlimit(hub.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: now.Max}, nil))
	}
	send := func(i int) (taken bool) {
		_, taken = k.offer(sender, k.example("adult-carer-hertswise").with("f-"+strconv.Itoa(i), whose(synthetic(i))))
		return taken
	}
	for i := range 5 {
		send(i)
	}
	wal, err := os.Stat(filepath.Join(k.cfg.Data, "hub.db-wal"))
	k.must(err)
	limit(uint64(wal.Size()) + 4096)
	refused := -1
	for i := range 20 {
		if !send(5+i) && refused < 0 {
			refused = 5 + i
		}
	}
	if refused < 0 {
		t.Error("every message was taken, although nothing more can be written")
	}
	limit(unix.RLIM_INFINITY)
	for i := range 25 {
		k.insist(sender, k.example("adult-carer-hertswise").with("f-"+strconv.Itoa(i), whose(synthetic(i))))
	}
	k.must(hub.Process.Signal(os.Interrupt))
	if err := hub.Wait(); err != nil {
		t.Errorf("told to stop, the hub ended with %v\n%s", err, k.output.String())
	}
	hangUp()
	if report := k.audited(); report.Transfers != 25 {
		t.Errorf("%d transfers", report.Transfers)
	}
}
