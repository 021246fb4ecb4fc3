// Package webhook posts to a partner's endpoint as Standard Webhooks 1.0 says: a notice by default, which holds ids alone and
// leaves the collection to be the disclosure, or the dataset for a flow that says push.
//
//	{"type":"transfer.waiting", "timestamp":…,"data":{"transfer_id":…,"message_type":…,"sender":…,"correlation_id":…,"at":…}}
//	{"type":"transfer.released","timestamp":…,"data":{"disclosure":…,"dataset":…}}
//
// webhook-id is the same for every attempt at the same notice or dataset, and is the partner's key to tell a repetition.
//
// The answer decides: 2xx is delivered; 408, 425, 429 and 5xx are tried again, not before Retry-After; a redirect is not followed;
// everything else, 410 Gone among it, is rejected. The body of an answer is not looked at.
//
// MUST lines:
//   - Nothing but the public internet is dialled, whatever a name resolves to, except hosts that the configuration names.
//   - No secret, URL or payload is in any error or reason: both are logged, and reasons become leaves.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"referralhub/hub/delivery"
	"referralhub/hub/transfer"
)

// Config says how partners' endpoints are reached. Secrets is required.
type Config struct {
	// Secrets gives a partner's signing secrets ("whsec_" and base64 of 24 to 64 bytes), the newest first. Each signs, so that a
	// partner can change over at its own time. None is an error: nothing is sent unsigned.
	Secrets func(transfer.PartnerID) []string
	// AllowHosts are host names or addresses that may be dialled wherever they lead, and over plain http: tests, demonstrations,
	// and a partner on the hub's own network.
	AllowHosts []string
	// RootCAs are the authorities that endpoints' certificates may come from; nil: the system's.
	RootCAs *x509.CertPool
	// Timeout of one attempt, from the look-up of the name to the end of the answer: 15 s when zero.
	Timeout time.Duration
	// MaxBodyBytes is the largest body that is sent: 1 MiB when zero.
	MaxBodyBytes int
	// PerHost is how many connections one endpoint gets: 16 when zero. They are kept alive between attempts.
	PerHost int

	Now func() time.Time
}

// maxAnswerBytes is how much of an answer's body is read, so that the connection can be used again; past it the connection goes.
const maxAnswerBytes = 16 << 10

// Adapter posts webhooks. Make one with New, and Close it.
type Adapter struct {
	cfg    Config
	client *http.Client
	allow  map[string]bool

	mu       sync.Mutex // guards closed, and Add against Wait
	closed   bool
	underWay sync.WaitGroup
}

// New checks the configuration and fills its defaults.
func New(cfg Config) (*Adapter, error) {
	if cfg.Secrets == nil {
		return nil, errors.New("webhook: secrets are required")
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 15*time.Second)
	cfg.MaxBodyBytes = cmp.Or(cfg.MaxBodyBytes, 1<<20)
	cfg.PerHost = cmp.Or(cfg.PerHost, 16)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Adapter{cfg: cfg, allow: make(map[string]bool)}
	for _, h := range cfg.AllowHosts {
		a.allow[strings.ToLower(h)] = true
	}
	anywhere := &net.Dialer{Timeout: cfg.Timeout, KeepAlive: 30 * time.Second}
	guarded := &net.Dialer{Timeout: cfg.Timeout, KeepAlive: 30 * time.Second, Control: newGuard().control}
	a.client = &http.Client{
		// No proxy: it would be the one who dials, and the guard would guard nothing.
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if host, _, err := net.SplitHostPort(address); err == nil && a.allow[strings.ToLower(host)] {
					return anywhere.DialContext(ctx, network, address)
				}
				return guarded.DialContext(ctx, network, address)
			},
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
			TLSHandshakeTimeout:    cfg.Timeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           1024,
			MaxIdleConnsPerHost:    cfg.PerHost,
			MaxConnsPerHost:        cfg.PerHost,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: maxAnswerBytes,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return a, nil
}

// Announce posts a notice.
func (a *Adapter) Announce(ctx context.Context, to transfer.Partner, n delivery.Notice) (delivery.Outcome, error) {
	data, err := json.Marshal(n)
	if err != nil {
		return delivery.Outcome{}, fmt.Errorf("write the notice of transfer %s: %w", n.Transfer, err)
	}
	return a.send(ctx, to, event{id: "waiting_" + string(n.Transfer), kind: "transfer.waiting", at: n.At, data: data})
}

// Deliver posts a dataset with its disclosure.
func (a *Adapter) Deliver(ctx context.Context, to transfer.Partner, p delivery.Parcel) (delivery.Outcome, error) {
	if err := p.CheckRecipient(to.ID); err != nil {
		return delivery.Outcome{}, err
	}
	data, err := p.AppendJSON(nil)
	if err != nil {
		return delivery.Outcome{}, err
	}
	return a.send(ctx, to, event{
		id: "released_" + string(p.Transfer()), kind: "transfer.released", at: p.Disclosure().ReleasedAt, data: data,
	})
}

// Close waits for the attempts under way and closes the connections. Later attempts are errors. Closing twice is harmless.
func (a *Adapter) Close() error {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.underWay.Wait()
	a.client.CloseIdleConnections()
	return nil
}

// event is one webhook: data is JSON and goes out as it is.
type event struct {
	id, kind string
	at       time.Time
	data     []byte
}

func (a *Adapter) send(ctx context.Context, to transfer.Partner, e event) (delivery.Outcome, error) {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return delivery.Outcome{}, errors.New("send a webhook: the adapter is closed")
	}
	a.underWay.Add(1)
	a.mu.Unlock()
	defer a.underWay.Done()

	within, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	req, err := a.request(within, to, e)
	if err != nil {
		return delivery.Outcome{}, fmt.Errorf("send a webhook to %s: %w", to.ID, err)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return delivery.Outcome{}, fmt.Errorf("send a webhook to %s: %w", to.ID, ctx.Err())
		}
		return failed(err), nil
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswerBytes) // for the connection's sake; the status has been said
	return answered(resp, a.cfg.Now()), nil
}

// request builds and signs. Its errors are the hub's own faults, and say nothing of the URL but what is wrong with it.
func (a *Adapter) request(ctx context.Context, to transfer.Partner, e event) (*http.Request, error) {
	u, err := url.Parse(to.Delivery.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the partner's URL is not an https URL; correct the register")
	case u.User != nil:
		return nil, errors.New("the partner's URL carries credentials; webhooks are signed instead: correct the register")
	case u.Scheme == "http" && !a.allow[strings.ToLower(u.Hostname())]:
		return nil, errors.New("the partner's URL is not encrypted; use https")
	}

	body := make([]byte, 0, len(e.data)+128)
	body = append(body, `{"type":"`+e.kind+`","timestamp":"`...)
	body = e.at.UTC().AppendFormat(body, time.RFC3339Nano)
	body = append(body, `","data":`...)
	body = append(body, e.data...)
	body = append(body, '}')
	if len(body) > a.cfg.MaxBodyBytes {
		return nil, fmt.Errorf("a body of %d bytes is more than the %d that may be sent", len(body), a.cfg.MaxBodyBytes)
	}

	at := a.cfg.Now()
	signature, err := sign(a.cfg.Secrets(to.ID), e.id, at, body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the partner's URL cannot be asked for; correct the register")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "referralhub")
	req.Header.Set(standardwebhooks.HeaderWebhookID, e.id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return req, nil
}

// sign gives one v1 signature for each secret.
func sign(secrets []string, id string, at time.Time, body []byte) (string, error) {
	if len(secrets) == 0 {
		return "", errors.New("the partner has no signing secret; give it one")
	}
	signatures := make([]string, len(secrets))
	for i, s := range secrets {
		// The library takes a key of any length, an empty one among them; Standard Webhooks asks for 24 to 64 bytes.
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
		if err != nil || len(key) < 24 || len(key) > 64 {
			return "", errors.New(`a signing secret of the partner is not "whsec_" and base64 of 24 to 64 bytes`)
		}
		wh, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return "", errors.New("a signing secret of the partner cannot be used")
		}
		if signatures[i], err = wh.Sign(id, at, body); err != nil {
			return "", errors.New("the webhook cannot be signed")
		}
	}
	return strings.Join(signatures, " "), nil
}

// answered turns a response into an outcome.
func answered(resp *http.Response, at time.Time) delivery.Outcome {
	code := resp.StatusCode
	o := delivery.Outcome{Kind: delivery.Rejected, Fault: delivery.FaultReceiver, Reason: fmt.Sprintf("the endpoint answered %d", code)}
	switch {
	case code >= 200 && code < 300:
		return delivery.Outcome{Kind: delivery.Delivered}
	case code >= 300 && code < 400:
		o.Reason += "; redirects are not followed: the register must hold the URL itself"
	case code == http.StatusGone:
		o.Reason += "; it wants no more webhooks"
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		o.Kind = delivery.Retry
		o.After = retryAfter(resp.Header.Get("Retry-After"), at)
	}
	return o
}

// retryAfter reads seconds or an HTTP date (RFC 9110 section 10.2.3); anything else, and the past, is zero.
func retryAfter(v string, at time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(v); err == nil {
		return max(date.Sub(at), 0)
	}
	return 0
}

// failed turns an error of the client into an outcome, in words that hold nothing of the URL.
func failed(err error) delivery.Outcome {
	o := delivery.Outcome{Kind: delivery.Retry, Fault: delivery.FaultNetwork}
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		timeout     net.Error
	)
	switch {
	case errors.Is(err, errAddress):
		o.Kind, o.Fault, o.Reason = delivery.Rejected, delivery.FaultReceiver, "the endpoint's name leads to an address that is not on the public internet"
	case errors.As(err, &certificate):
		o.Fault, o.Reason = delivery.FaultReceiver, "the endpoint's certificate is not valid"
	case errors.As(err, &record), errors.As(err, &alert):
		o.Fault, o.Reason = delivery.FaultReceiver, "the endpoint does not speak TLS 1.2 or later"
	case errors.As(err, &dns):
		o.Reason = "the endpoint's name could not be resolved"
	case errors.As(err, &timeout) && timeout.Timeout():
		o.Reason = "the endpoint did not answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		o.Reason = "the endpoint refused the connection"
	default:
		o.Reason = "the connection to the endpoint failed"
	}
	return o
}

var _ delivery.Adapter = (*Adapter)(nil)
