package webhook_test

import (
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"referralhub/adapters/adaptertest"
	"referralhub/adapters/webhook"
	"referralhub/hub/delivery"
	"referralhub/hub/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	newSecret = "whsec_bmV3IHNlY3JldCBvZiB0aGlydHktdHdvIGJ5dGVz"
	oldSecret = "whsec_b2xkIHNlY3JldCBvZiB0aGlydHktdHdvIGJ5dGVz"
)

// endpoint is a partner's server over TLS.
func endpoint(t *testing.T, cfg webhook.Config, handle http.HandlerFunc) (*webhook.Adapter, transfer.Partner) {
	t.Helper()
	srv := httptest.NewTLSServer(handle)
	t.Cleanup(srv.Close)
	return adapterFor(t, cfg, srv), partnerAt(srv.URL + "/hooks?token=in-the-url")
}

func adapterFor(t *testing.T, cfg webhook.Config, srv *httptest.Server) *webhook.Adapter {
	t.Helper()
	if cfg.Secrets == nil {
		cfg.Secrets = func(transfer.PartnerID) []string { return []string{newSecret, oldSecret} }
	}
	if cfg.AllowHosts == nil {
		cfg.AllowHosts = []string{"127.0.0.1"}
	}
	if cfg.RootCAs == nil {
		cfg.RootCAs = srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	a, err := webhook.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func partnerAt(url string) transfer.Partner {
	return transfer.Partner{ID: "pohwer", Delivery: transfer.Delivery{Adapter: "webhook", URL: url}}
}

func notice() delivery.Notice {
	return delivery.Notice{Transfer: "0199-a", Type: "referral/1", Sender: "carers-in-hertfordshire", At: time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)}
}

func TestConformance(t *testing.T) {
	adaptertest.Run(t, adaptertest.Harness{
		Open:   open,
		Pushes: true,
		Behaviours: []adaptertest.Behaviour{
			adaptertest.Accepts, adaptertest.Refuses, adaptertest.Gone, adaptertest.Busy, adaptertest.Broken,
			adaptertest.Hangs, adaptertest.Babbles, adaptertest.Stranger, adaptertest.Absent,
		},
		Secrets: []string{newSecret[6:], oldSecret[6:], "in-the-url", "/hooks"},
	})
}

func open(t *testing.T, b adaptertest.Behaviour) adaptertest.Receiver {
	seen := make(chan adaptertest.Arrival, 100)
	over := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the request: %v", err)
		}
		seen <- adaptertest.Arrival{Key: r.Header.Get("webhook-id"), Body: body}
		switch b {
		case adaptertest.Refuses:
			http.Error(w, "no such client", http.StatusUnprocessableEntity)
		case adaptertest.Gone:
			w.WriteHeader(http.StatusGone)
		case adaptertest.Busy:
			w.Header().Set("Retry-After", strconv.Itoa(int(adaptertest.BusyFor/time.Second)))
			w.WriteHeader(http.StatusTooManyRequests)
		case adaptertest.Broken:
			w.WriteHeader(http.StatusInternalServerError)
		case adaptertest.Hangs:
			<-over
		case adaptertest.Babbles:
			w.WriteHeader(http.StatusOK)
			for range 1 << 10 {
				if _, err := w.Write(make([]byte, 1<<14)); err != nil {
					return
				}
			}
		}
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of strangers
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(over) })
	cfg := webhook.Config{Timeout: 5 * time.Second}
	switch b {
	case adaptertest.Hangs:
		cfg.Timeout = 200 * time.Millisecond
	case adaptertest.Stranger:
		cfg.RootCAs = x509.NewCertPool() // whoever answers cannot prove who it is
	case adaptertest.Absent:
		srv.Close()
	}
	return adaptertest.Receiver{Adapter: adapterFor(t, cfg, srv), To: partnerAt(srv.URL + "/hooks?token=in-the-url"), Arrived: seen}
}

// Signed as the specification says, whatever library the partner verifies with.
func TestSignatureOfTheSpecification(t *testing.T) {
	vector, err := os.ReadFile(filepath.Join(inputs(t), "webhooks", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`secret (\S+), id (\S+), ts (\d+), body (\{.*?\}) -> (v1,\S+)`).FindStringSubmatch(string(vector))
	if m == nil {
		t.Fatal("the vector is not where it was")
	}
	seconds, err := strconv.ParseInt(m[3], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	got, err := webhook.Sign([]string{"whsec_" + m[1]}, m[2], time.Unix(seconds, 0), []byte(m[4]))
	if err != nil || got != m[5] {
		t.Errorf("signature %s, %v; want %s", got, err, m[5])
	}
}

// While a partner changes its secret over, either of the two verifies what it gets.
func TestBothSecretsVerify(t *testing.T) {
	type request struct {
		header http.Header
		body   []byte
	}
	got := make(chan request, 1)
	a, to := endpoint(t, webhook.Config{}, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- request{r.Header, body}
	})
	if o, err := a.Announce(t.Context(), to, notice()); err != nil || o.Kind != delivery.Delivered {
		t.Fatalf("announce: %+v, %v", o, err)
	}
	r := <-got
	for _, secret := range []string{newSecret, oldSecret} {
		wh, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := wh.Verify(r.body, r.header); err != nil {
			t.Errorf("verify: %v", err)
		}
	}
	var event struct {
		Type      string
		Timestamp time.Time
		Data      map[string]string
	}
	if err := json.Unmarshal(r.body, &event); err != nil {
		t.Fatal(err)
	}
	if event.Type != "transfer.waiting" || !event.Timestamp.Equal(notice().At) || event.Data["transfer_id"] != "0199-a" {
		t.Errorf("event %+v", event)
	}
}

func TestAnswers(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		status     int
		retryAfter string
		kind       delivery.Kind
		after      time.Duration
	}{
		"created":             {201, "", delivery.Delivered, 0},
		"moved":               {301, "", delivery.Rejected, 0},
		"not found":           {404, "", delivery.Rejected, 0},
		"gone":                {410, "", delivery.Rejected, 0},
		"busy, in seconds":    {429, "120", delivery.Retry, 2 * time.Minute},
		"busy, by date":       {503, now.Add(time.Hour).Format(http.TimeFormat), delivery.Retry, time.Hour},
		"busy, in the past":   {503, now.Add(-time.Hour).Format(http.TimeFormat), delivery.Retry, 0},
		"busy, with nonsense": {502, "soon", delivery.Retry, 0},
		"busy, negative":      {504, "-5", delivery.Retry, 0},
		"busy for ever":       {504, "99999999999999999999", delivery.Retry, 0},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			a, to := endpoint(t, webhook.Config{Now: func() time.Time { return now }}, func(w http.ResponseWriter, r *http.Request) {
				asked++
				w.Header().Set("Retry-After", c.retryAfter)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
			})
			o, err := a.Announce(t.Context(), to, notice())
			if err != nil || o.Kind != c.kind || o.After != c.after {
				t.Errorf("got %+v, %v", o, err)
			}
			if asked != 1 {
				t.Errorf("the endpoint was asked %d times", asked)
			}
		})
	}
}

func TestConnectionIsKept(t *testing.T) {
	from := make(map[string]bool)
	a, to := endpoint(t, webhook.Config{}, func(w http.ResponseWriter, r *http.Request) {
		from[r.RemoteAddr] = true
		w.Write(make([]byte, 8<<10))
	})
	for range 5 {
		if _, err := a.Announce(t.Context(), to, notice()); err != nil {
			t.Fatal(err)
		}
	}
	if len(from) != 1 {
		t.Errorf("five notices came over %d connections", len(from))
	}
}

// What a partner's register entry must not make the hub do.
func TestConfigurationFaults(t *testing.T) {
	secrets := func(s ...string) func(transfer.PartnerID) []string {
		return func(transfer.PartnerID) []string { return s }
	}
	for name, c := range map[string]struct {
		url     string
		secrets func(transfer.PartnerID) []string
		says    string
	}{
		"no URL":              {"", secrets(newSecret), "https"},
		"another scheme":      {"file:///etc/passwd", secrets(newSecret), "https"},
		"not encrypted":       {"http://partner.example/", secrets(newSecret), "not encrypted"},
		"credentials":         {"https://user:hunter2@partner.example/", secrets(newSecret), "credentials"},
		"unreadable":          {"https://hunter2@[::1/", secrets(newSecret), "register"},
		"no secret":           {"https://partner.example/", secrets(), "no signing secret"},
		"secret not base64":   {"https://partner.example/", secrets("whsec_hunter2!"), "base64"},
		"secret empty":        {"https://partner.example/", secrets("whsec_"), "24 to 64 bytes"},
		"old secret not good": {"https://partner.example/", secrets(newSecret, "whsec_aHVudGVyMg=="), "24 to 64 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := webhook.New(webhook.Config{Secrets: c.secrets})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			o, err := a.Announce(t.Context(), partnerAt(c.url), notice())
			if err == nil {
				t.Fatalf("sent: %+v", o)
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "aHVudGVyMg") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestTooLargeToSend(t *testing.T) {
	a, to := endpoint(t, webhook.Config{MaxBodyBytes: 64}, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	if _, err := a.Deliver(t.Context(), to, adaptertest.Parcel(t, "0199-a", to.ID)); err == nil {
		t.Error("no error")
	}
}

// A partner's name may lead anywhere; the hub does not follow it into its own house.
func TestInsideAddressesAreNotDialled(t *testing.T) {
	asked := false
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	a := adapterFor(t, webhook.Config{AllowHosts: []string{"another.example"}}, srv)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		o, err := a.Announce(t.Context(), partnerAt("https://"+host+":"+port+"/"), notice())
		if err != nil || o.Kind != delivery.Rejected || !strings.Contains(o.Reason, "public internet") {
			t.Errorf("%s: %+v, %v; want it rejected", host, o, err)
		}
	}
	if asked {
		t.Error("the endpoint inside was reached")
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8":                true,
		"81.2.69.142":            true,
		"2a00:1450:4009:81f::1":  true,
		"::ffff:8.8.8.8":         true,
		"127.0.0.1":              false,
		"127.8.8.8":              false,
		"0.0.0.0":                false,
		"0.1.2.3":                false,
		"10.0.0.1":               false,
		"172.16.0.1":             false,
		"192.168.1.1":            false,
		"100.64.0.1":             false,
		"100.100.100.200":        false,
		"169.254.169.254":        false,
		"168.63.129.16":          false,
		"192.0.0.192":            false,
		"198.18.0.1":             false,
		"224.0.0.1":              false,
		"239.255.255.250":        false,
		"240.0.0.1":              false,
		"255.255.255.255":        false,
		"::":                     false,
		"::1":                    false,
		"::ffff:127.0.0.1":       false,
		"::ffff:169.254.169.254": false,
		"64:ff9b::a9fe:a9fe":     false,
		"2002:7f00:1::":          false,
		"2001:0:7f00:1::":        false,
		"2001:db8::1":            false,
		"fe80::1":                false,
		"fe80::1%eth0":           false,
		"fec0::1":                false,
		"fc00::1":                false,
		"fd00:ec2::254":          false,
		"ff02::1":                false,
	} {
		if got := webhook.Allows(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %t; want %t", address, got, want)
		}
	}
}

// inputs is the folder of third-party material, or the test is skipped.
func inputs(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("HUB_INPUTS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			continue
		}
		if in := filepath.Join(dir, "..", "shared", "inputs"); exists(in) {
			return in
		}
		break
	}
	t.Skip("SKIPPED: neither HUB_INPUTS nor ../shared/inputs is there")
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
