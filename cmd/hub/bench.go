package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/auth"
	"referralhub/hub/server"
	"referralhub/hub/store/pgtest"
	"referralhub/hub/transfer"
)

type benchCmds struct {
	Hub benchCmd    `cmd:"" default:"withargs" help:"From submit to receipt, over HTTP."`
	Log benchLogCmd `cmd:"" help:"The disclosure log: how fast it grows, answers and is audited."`
}

// Help is what `hub bench --help` says besides.
func (benchCmds) Help() string {
	return `The hub is one of its own on an empty folder, and is removed afterwards. It ends with status 1 if what it measured was not sound.

	hub bench --for 30s
	hub bench --store postgres --rate 500 --json
	hub bench log --leaves 1000000`
}

type benchCmd struct {
	Store   string        `help:"sqlite or postgres; with postgres and no --database, a private server is started and removed afterwards." enum:"sqlite,postgres" default:"sqlite"`
	Clients int           `help:"Referrals in flight, each from submit to receipt." default:"64"`
	Rate    int           `help:"Start this many referrals a second instead, however long they take." placeholder:"N"`
	For     time.Duration `help:"How long to measure." default:"10s"`
	Warm    time.Duration `help:"How long to run before measuring." default:"2s"`
	JSON    bool          `help:"The figures on one line." name:"json"`
	Profile string        `help:"Write a CPU profile of the hub to this file." placeholder:"FILE"`
}

// Help is what `hub bench --help` says besides.
func (benchCmd) Help() string {
	return `The hub is a process of its own on an empty folder, and is removed afterwards. It ends with status 1 if a referral was lost or delivered twice, or
if the log that it left is not whole.

	hub bench --for 30s
	hub bench --store postgres --rate 500 --json`
}

// figures is what a run measured. Scripts rely on these names.
type figures struct {
	Store            string  `json:"store"`
	Clients          int     `json:"clients,omitempty"`
	Rate             int     `json:"rate,omitempty"`
	Seconds          float64 `json:"seconds"`
	Cores            int     `json:"cores"`
	MessageBytes     int     `json:"message_bytes"`
	TransfersPerS    float64 `json:"transfers_per_s"`
	Submitted        int64   `json:"submitted"`
	DeliveredOnce    int64   `json:"delivered_once"`
	Missing          int64   `json:"missing"`
	Duplicated       int64   `json:"duplicated"`
	Leaves           int64   `json:"leaves"`
	LogVerified      bool    `json:"log_verified"`
	HubCPU           float64 `json:"hub_cpu_us_per_transfer"`
	P50              float64 `json:"p50_ms"`
	P99              float64 `json:"p99_ms"`
	BytesPerTransfer float64 `json:"bytes_per_transfer"`
	RSSMiB           float64 `json:"rss_mib"`
	IdleRSSMiB       float64 `json:"idle_rss_mib"`
	FirstRequestMs   float64 `json:"first_request_ms"`
	FsyncsPerS       float64 `json:"fsyncs_per_s"`
}

// sound says whether every referral was delivered once, and logged.
func (f *figures) sound() bool { return f.Missing == 0 && f.Duplicated == 0 && f.LogVerified }

// Run starts a hub as a process of its own, so that its processor time is its own, and drives it over HTTP as partners do: submit, long
// poll, and collect and acknowledge what waits by the batch. Afterwards it audits the log.
func (b *benchCmd) Run(e *env) error {
	f, err := b.measure(e)
	if err != nil {
		return err
	}
	out := json.NewEncoder(e.stdout)
	if !b.JSON {
		out.SetIndent("", "  ")
	}
	if err := out.Encode(f); err != nil {
		return err
	}
	if !f.sound() {
		fmt.Fprintln(e.stderr, "hub bench: NOT every referral was delivered once and logged: the figures say nothing")
		return errFailed
	}
	return nil
}

// Validate finds numbers that measure nothing.
func (b *benchCmd) Validate() error {
	if b.Clients < 1 || b.Rate < 0 || b.For <= 0 || b.Warm < 0 {
		return errors.New("--clients and --for are above zero, --rate and --warm not below")
	}
	return nil
}

func (b *benchCmd) measure(e *env) (f *figures, err error) {
	dir, err := os.MkdirTemp("", "hub-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of its own in the temporary folder
	f = &figures{Store: b.Store, Rate: b.Rate, Seconds: b.For.Seconds(), Cores: runtime.NumCPU(), FsyncsPerS: fsyncRate(dir)}
	if b.Rate == 0 {
		f.Clients = b.Clients
	}
	database := e.cli.Database
	if b.Store == "postgres" && database == "" {
		cluster, failed := pgtest.Start(e.ctx)
		if failed != nil {
			return nil, failed
		}
		defer func() { err = errors.Join(err, cluster.Stop()) }()
		if database, err = cluster.NewDatabase(e.ctx); err != nil {
			return nil, err
		}
	}
	cfg, err := server.ReadConfig("", func(c *server.Config) {
		c.Data, c.Database, c.Listen, c.TLS.Off = dir, database, freeAddress(), true
	})
	if err != nil {
		return nil, err
	}
	s := &story{out: io.Discard, cfg: cfg}
	if err := s.enrol(); err != nil {
		return nil, err
	}
	hub, err := startHub(e, cfg, b.Profile)
	if err != nil {
		return nil, err
	}
	defer hub.stop() //nolint:errcheck // stopped below unless something failed before
	l, err := newLoad(s)
	if err != nil {
		return nil, err
	}
	if f.FirstRequestMs, err = l.firstRequest(e.ctx, hub); err != nil {
		return nil, errors.Join(err, hub.stop())
	}
	f.IdleRSSMiB = hub.rss()
	switch err := b.drive(e.ctx, l, hub, f); {
	case e.ctx.Err() != nil:
		_ = hub.stop() // it was told to stop as this process was, perhaps
		return nil, errors.New("given up")
	case err != nil:
		return nil, errors.Join(err, hub.stop())
	}
	f.MessageBytes = len(l.message(0))
	if err := hub.stop(); err != nil {
		return nil, err
	}
	return f, b.verify(e, cfg, f)
}

// drive loads the hub and takes the figures of the measured part.
func (b *benchCmd) drive(ctx context.Context, l *load, hub *hubProcess, f *figures) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	collected := make(chan error, 1)
	go func() { collected <- l.collectAll(ctx) }()
	sizeBefore, err := onDisk(ctx, l.dir, l.database)
	if err != nil {
		return err
	}
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if b.Rate > 0 {
			l.atRate(ctx, end, b.Rate)
		} else {
			l.inFlight(ctx, end, b.Clients)
		}
	}()
	pause(ctx, b.Warm)
	cpu, count, from := hub.cpu(), l.finished.Load(), time.Now()
	l.measuring.Store(true)
	pause(ctx, b.For)
	for patience := time.Now().Add(30 * time.Second); !l.measured() && ctx.Err() == nil && time.Now().Before(patience); {
		pause(ctx, 10*time.Millisecond) // a figure of nothing is none: a slow machine is given the time for one
	}
	l.measuring.Store(false)
	spent, n, took := hub.cpu()-cpu, l.finished.Load()-count, time.Since(from)
	f.RSSMiB = hub.rss()
	close(end)
	<-done
	if err := ctx.Err(); err != nil {
		return err
	}
	stop()
	if err := <-collected; err != nil {
		return err
	}
	size, err := onDisk(context.WithoutCancel(ctx), l.dir, l.database)
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.Join(errors.New("nothing was finished"), l.firstError())
	}
	f.TransfersPerS = round(float64(n) / took.Seconds())
	f.HubCPU = round(float64(spent.Microseconds()) / float64(n))
	f.P50, f.P99 = l.quantile(0.50), l.quantile(0.99)
	f.Submitted, f.DeliveredOnce, f.Missing, f.Duplicated = l.tally()
	f.BytesPerTransfer = round(float64(size-sizeBefore) / float64(f.Submitted))
	if err := l.firstError(); err != nil {
		fmt.Fprintln(os.Stderr, "hub bench: an error on the way:", err)
	}
	return nil
}

// pause waits, unless the run is given up.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// verify audits what the run left behind.
func (b *benchCmd) verify(e *env, cfg server.Config, f *figures) error {
	st, err := server.OpenStore(e.ctx, cfg)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // nothing was written
	report, err := server.Verify(e.ctx, cfg, st)
	if err != nil {
		return err
	}
	f.Leaves, f.LogVerified = report.Leaves, report.OK() && report.Releases >= f.DeliveredOnce
	for _, p := range report.Problems[:min(len(report.Problems), 5)] {
		fmt.Fprintln(e.stderr, "hub bench:", p)
	}
	return nil
}

// hubProcess is the hub under measurement.
type hubProcess struct {
	cmd     *exec.Cmd
	started time.Time
	ended   chan struct{} // closed once it has, and then err says how
	err     error
}

func startHub(e *env, cfg server.Config, profile string) (*hubProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"--data", cfg.Data, "serve", "--listen", cfg.Listen, "--plain-http", "--log-level", "warn"}
	if cfg.Database != "" {
		args = append([]string{"--database", cfg.Database}, args...)
	}
	if profile != "" {
		args = append(args, "--profile", profile)
	}
	h := &hubProcess{cmd: exec.Command(self, args...), started: time.Now(), ended: make(chan struct{})}
	h.cmd.Args[0] = os.Args[0] // by the name that this process goes by
	h.cmd.Stderr = e.stderr
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a hub: %w", err)
	}
	go func() {
		defer close(h.ended)
		if err := h.cmd.Wait(); err != nil {
			h.err = fmt.Errorf("the hub ended badly: %w", err)
		}
	}()
	return h, nil
}

// stop ends the hub, if it has not ended by itself, and says how it did.
func (h *hubProcess) stop() error {
	select {
	case <-h.ended:
		return h.err
	default:
	}
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the hub: %w", err)
	}
	<-h.ended
	return h.err
}

// cpu is the processor time that the hub has used, by the system's own account in ticks of 10 ms.
func (h *hubProcess) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func (h *hubProcess) rss() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return round(kib / 1024)
}

// load plays one sender and one recipient, with many referrals in flight. It shares the processors with the hub that it measures, so it
// reads of an answer no more than it needs.
type load struct {
	url       string
	http      *http.Client
	dir       string
	database  string
	cih, age  *client.Client
	template  []byte
	next      atomic.Int64
	finished  atomic.Int64
	measuring atomic.Bool

	mu        sync.Mutex
	waiting   map[transfer.TransferID]chan struct{} // submitted, and not yet acknowledged
	early     map[transfer.TransferID]bool          // acknowledged before the sender had its answer
	seen      map[transfer.TransferID]int           // times delivered
	received  map[transfer.TransferID]time.Time     // when its receipt was in
	submitted map[transfer.TransferID]bool
	took      []time.Duration
	err       error
}

// atLength are the sections of a referral that few fill in.
var atLength = []string{"household", "needs", "risks", "professionals", "caring_role"}

func newLoad(s *story) (*load, error) {
	l := &load{
		dir: s.cfg.Data, database: s.cfg.Database, waiting: map[transfer.TransferID]chan struct{}{}, early: map[transfer.TransferID]bool{},
		seen: map[transfer.TransferID]int{}, received: map[transfer.TransferID]time.Time{}, submitted: map[transfer.TransferID]bool{},
	}
	m, err := adultCarer()
	if err != nil {
		return nil, err
	}
	for _, section := range append(atLength, "sent_at") {
		delete(m, section)
	}
	delete(m["referral"].(map[string]any), "background")
	m["message_id"] = "bench-00000000"
	carer := m["carer"].(map[string]any)
	carer["nhs_number"], carer["case_number"] = "9990000000", "BENCH/00000000"
	cared := m["cared_for"].([]any)[0].(map[string]any)
	cared["nhs_number"], cared["case_number"] = "9990000001", "BENCH/0000000B"
	l.template = m.json()
	l.url, l.http = s.cfg.URL, &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		MaxIdleConnsPerHost: 1024, MaxConnsPerHost: 1024, DisableCompression: true,
	}}
	for id, c := range map[transfer.SystemID]**client.Client{"carers-in-hertfordshire/casework": &l.cih, "age-uk-hertfordshire/casework": &l.age} {
		text, err := os.ReadFile(s.keyFile(id))
		if err != nil {
			return nil, err
		}
		keys, err := auth.ParseKeys(text)
		if err != nil {
			return nil, err
		}
		if *c, err = client.New(client.Config{BaseURL: s.cfg.URL, System: id, Key: keys[0], HTTP: l.http}); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// post sends a body as a partner's system, waits as long as a busy hub asks, and gives the answer.
func (l *load) post(ctx context.Context, as *client.Client, path string, body []byte) ([]byte, error) {
	for {
		token, err := as.Token(ctx)
		if err != nil {
			return nil, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := l.http.Do(r)
		if err != nil {
			return nil, err
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		switch {
		case err != nil:
			return nil, err
		case response.StatusCode == http.StatusServiceUnavailable && ctx.Err() == nil:
			time.Sleep(time.Second)
		case response.StatusCode >= http.StatusMultipleChoices:
			return nil, fmt.Errorf("%s: %s", response.Status, answer)
		default:
			return answer, nil
		}
	}
}

// field finds a string member in JSON that the hub wrote.
func field(answer []byte, name string) string {
	_, rest, _ := bytes.Cut(answer, []byte(`"`+name+`":"`))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}

// message is the n-th referral: about people whom no other is about.
func (l *load) message(n int64) []byte {
	m := bytes.Replace(l.template, []byte("bench-00000000"), fmt.Appendf(nil, "bench-%08d", n), 1)
	m = bytes.Replace(m, []byte("9990000000"), []byte(nhsNumber(int(2*n))), 1)
	m = bytes.Replace(m, []byte("9990000001"), []byte(nhsNumber(int(2*n+1))), 1)
	m = bytes.Replace(m, []byte("BENCH/00000000"), fmt.Appendf(nil, "BENCH/%08d", n), 1)
	return bytes.Replace(m, []byte("BENCH/0000000B"), fmt.Appendf(nil, "BENCH/B%07d", n), 1)
}

// firstRequest asks something as soon as the hub answers, and says how long after its start that was.
func (l *load) firstRequest(ctx context.Context, hub *hubProcess) (float64, error) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := l.cih.Partners(ctx)
		if err == nil {
			return round(float64(time.Since(hub.started).Microseconds()) / 1000), nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("the hub does not answer: %w", err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-hub.ended:
			return 0, errors.New("the hub does not answer: it has ended")
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// inFlight keeps so many referrals on their way until end.
func (l *load) inFlight(ctx context.Context, end <-chan struct{}, clients int) {
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				select {
				case <-end:
					return
				default:
					l.one(ctx)
				}
			}
		})
	}
	all.Wait()
}

// atRate starts so many referrals a second until end.
func (l *load) atRate(ctx context.Context, end <-chan struct{}, rate int) {
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-end:
			return
		case <-tick.C:
			all.Go(func() { l.one(ctx) })
		}
	}
}

// one carries one referral from submit to receipt.
func (l *load) one(ctx context.Context) {
	measured, start := l.measuring.Load(), time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	answer, err := l.post(ctx, l.cih, "/v1/referrals", l.message(l.next.Add(1)))
	if err != nil {
		l.fail(err)
		return
	}
	id := transfer.TransferID(field(answer, "transfer_id"))
	if outcome := transfer.Outcome(field(answer, "outcome")); !outcome.Permits() {
		l.fail(fmt.Errorf("transfer %s: %s", id, outcome))
		return
	}
	arrived := make(chan struct{})
	l.mu.Lock()
	l.submitted[id] = true
	if l.early[id] {
		delete(l.early, id)
		close(arrived)
	} else {
		l.waiting[id] = arrived
	}
	l.mu.Unlock()
	select {
	case <-arrived:
	case <-ctx.Done():
		l.fail(fmt.Errorf("transfer %s was not acknowledged in time", id))
		return
	}
	l.finished.Add(1)
	if measured {
		l.mu.Lock()
		l.took = append(l.took, time.Since(start))
		l.mu.Unlock()
	}
}

// How much a recipient's system takes in one request, and how many such requests it has on their way.
const (
	batchSize  = 50
	collectors = 4
)

// collectAll is the recipient: it polls its inbox and collects and acknowledges what it finds, until ctx ends and nothing waits.
func (l *load) collectAll(ctx context.Context) error {
	work := context.WithoutCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	busy := make(chan struct{}, collectors)
	after, empty := "", 0
	for empty < 2 {
		asked, wait := time.Now(), time.Second
		if ctx.Err() != nil {
			wait = 0 // whatever was submitted has arrived, or was given up
		}
		page, err := l.age.Inbox(work, after, batchSize, wait)
		if err != nil {
			return err
		}
		if len(page.Entries) == 0 {
			if after = ""; ctx.Err() != nil {
				empty++
			}
			continue
		}
		after = page.Next
		if ids := l.claim(page.Entries, asked); len(ids) > 0 {
			empty = 0
			busy <- struct{}{}
			all.Go(func() {
				l.take(work, ids)
				<-busy
			})
		}
	}
	return nil
}

// claim gives the transfers of a page that no other has shown, so that none is collected twice. One that a poll shows which was asked for
// after its receipt has been delivered again.
func (l *load) claim(page []client.InboxEntry, asked time.Time) []transfer.TransferID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []transfer.TransferID
	for _, e := range page {
		id := e.TransferID
		if _, known := l.seen[id]; !known {
			l.seen[id] = 0
			ids = append(ids, id)
		} else if at, done := l.received[id]; done && at.Before(asked) {
			l.seen[id]++
		}
	}
	return ids
}

// take collects transfers and acknowledges them.
func (l *load) take(ctx context.Context, ids []transfer.TransferID) {
	answer, err := l.post(ctx, l.age, "/v1/inbox/collect", []byte(`{"transfer_ids":["`+joined(ids, `","`)+`"]}`))
	if err != nil {
		l.fail(err)
		return
	}
	ids = l.given(answer, `{"status":200,"body":{"disclosure":{"transfer_id":"`, `,"dataset":{`, len(ids))
	if len(ids) == 0 {
		return
	}
	rest := `","contract":"receipt/1","status":"received","at":"` + time.Now().UTC().Format(time.RFC3339) + `"}`
	answer, err = l.post(ctx, l.age, "/v1/receipts", []byte(`{"receipts":[{"transfer_id":"`+joined(ids, rest+`,{"transfer_id":"`)+rest+`]}`))
	if err != nil {
		l.fail(err)
		return
	}
	ids = l.given(answer, `{"status":201,"body":{"transfer_id":"`, `"state":"received"`, len(ids))
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.seen[id]++
		l.received[id] = time.Now()
		if arrived, waits := l.waiting[id]; waits {
			close(arrived)
			delete(l.waiting, id)
		} else {
			l.early[id] = true
		}
	}
}

// given finds the transfers that an answer to a batch, as the hub writes it, gives out: each result that begins with opening has the id next
// and holds proof.
func (l *load) given(answer []byte, opening, proof string, asked int) []transfer.TransferID {
	var out []transfer.TransferID
	for _, result := range bytes.Split(answer, []byte(opening))[1:] {
		id, rest, _ := bytes.Cut(result, []byte(`"`))
		if rest, _, _ = bytes.Cut(rest, []byte(`{"status":`)); bytes.Contains(rest, []byte(proof)) {
			out = append(out, transfer.TransferID(id))
		}
	}
	if len(out) != asked {
		l.fail(fmt.Errorf("of a batch of %d transfers %d were given", asked, len(out)))
	}
	return out
}

func joined(ids []transfer.TransferID, between string) string {
	return strings.Join(lo.Map(ids, func(id transfer.TransferID, _ int) string { return string(id) }), between)
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

func (l *load) firstError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// measured reports whether a referral that was started while measuring has been finished.
func (l *load) measured() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.took) > 0
}

func (l *load) quantile(q float64) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.took) == 0 {
		return 0
	}
	slices.Sort(l.took)
	return round(float64(l.took[int(float64(len(l.took)-1)*q)].Microseconds()) / 1000)
}

// tally compares what was submitted with what arrived.
func (l *load) tally() (submitted, once, missing, duplicated int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.submitted {
		submitted++
		switch n := l.seen[id]; {
		case n == 0:
			missing++
		case n == 1:
			once++
		default:
			duplicated++
		}
	}
	return submitted, once, missing, duplicated
}

func round(x float64) float64 { return math.Round(x*10) / 10 }

// fsyncRate says what a flush costs on this disk: a claim about speed means little without it.
func fsyncRate(dir string) float64 {
	f, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return 0
	}
	defer os.Remove(f.Name()) //nolint:errcheck // the folder goes too
	defer f.Close()           //nolint:errcheck // nothing of it is kept
	page := make([]byte, 4096)
	n, start := 0, time.Now()
	for ; time.Since(start) < 300*time.Millisecond; n++ {
		if _, err := f.WriteAt(page, 0); err != nil {
			return 0
		}
		if err := f.Sync(); err != nil {
			return 0
		}
	}
	return round(float64(n) / time.Since(start).Seconds())
}

// onDisk is what a hub's files and its database hold, in bytes.
func onDisk(ctx context.Context, dir, database string) (n int64, err error) {
	if database != "" {
		conn, err := pgx.Connect(ctx, database)
		if err != nil {
			return 0, fmt.Errorf("ask PostgreSQL for its size: %w", err)
		}
		defer conn.Close(ctx) //nolint:errcheck // it only asks
		if err := conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&n); err != nil {
			return 0, fmt.Errorf("ask PostgreSQL for its size: %w", err)
		}
	}
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // a file that went meanwhile
		}
		if info, err := d.Info(); err == nil && !d.IsDir() {
			n += info.Size()
		}
		return nil
	})
	return n, err
}
