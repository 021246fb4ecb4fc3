// Package client speaks to a referral hub over its HTTP API, as one system of one partner. It shows a partner's developer what
// there is to do, in whatever language they do it:
//
//  1. Sign a client assertion with the system's own key and exchange it for an access token (see token.go). Keep the token
//     until shortly before it expires; sign a new assertion, with a new id, each time.
//  2. Send with the token. A message has an id of the sender's own: sending the same bytes again under the same id gives the same
//     answer and has no second effect, so whatever happens to an answer, send again.
//  3. Read a problem document where something is wrong: it says what, where and what to do. 503 and 429 say when to try
//     again; nothing else is worth repeating.
//  4. Keep what was collected together with its disclosure. The digest in it and the hub's log prove later what was received,
//     under which agreement (see evidence.go).
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"referralhub/hub/auth"
	"referralhub/hub/transfer"
)

// Config says which hub, and as whom.
type Config struct {
	BaseURL  string            // "https://hub.example"; plain http is for a hub on this machine alone
	System   transfer.SystemID // the OAuth client id, as registered
	Key      auth.Key          // whose public half is registered
	Scopes   []string          // what to ask for; all that the system may have when empty
	HTTP     *http.Client      // its Transport and Timeout are used; a client with a timeout of 60 seconds when nil
	Audience string            // aud of the assertions; BaseURL + "/oauth/token" when empty
	Tries    uint              // how often a request that is answered 503 or 429 is sent; 4 when zero, 1 for never again
	// MaxWait is the longest that a request waits between tries. When the hub asks for more the problem is returned. 30 seconds
	// when zero.
	MaxWait time.Duration
	Now     func() time.Time // time.Now when nil
}

// maxAnswerBytes bounds an answer: a hub gives out about 8 MiB of datasets at once.
const maxAnswerBytes = 64 << 20

// Client is safe for concurrent use.
type Client struct {
	cfg     Config
	http    http.Client
	token   atomic.Pointer[accessToken]
	refresh chan struct{} // holds one value while nobody fetches a token
}

// New makes a client. It asks nothing of the hub yet.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.BaseURL)
	switch {
	case err != nil || base.Host == "":
		return nil, fmt.Errorf("hub URL %q: expected https://host", cfg.BaseURL)
	case base.Scheme != "https" && (base.Scheme != "http" || !loopback(base.Hostname())):
		return nil, fmt.Errorf("hub URL %q: only https keeps tokens and referrals private on the way", cfg.BaseURL)
	case cfg.System == "" || cfg.Key.Private == nil:
		return nil, errors.New("the system's id and its key are required")
	}
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	cfg.Audience = cmp.Or(cfg.Audience, cfg.BaseURL+"/oauth/token")
	cfg.Tries = cmp.Or(cfg.Tries, 4)
	cfg.MaxWait = cmp.Or(cfg.MaxWait, 30*time.Second)
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 60 * time.Second}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Client{cfg: cfg, http: *cfg.HTTP, refresh: make(chan struct{}, 1)}
	// The API redirects nowhere, and a referral must not follow whoever says otherwise.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.refresh <- struct{}{}
	return c, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// answer is a successful answer, read to its end.
type answer struct {
	status int
	body   []byte
}

// call sends an authorised request and reads the answer. A token that the hub no longer takes (its keys have changed, or the
// system's tokens were revoked) is replaced once. in is JSON, or nil for a request without a body.
func (c *Client) call(ctx context.Context, method, path string, in []byte) (answer, error) {
	for again := false; ; again = true {
		token, err := c.accessToken(ctx)
		if err != nil {
			return answer{}, err
		}
		a, err := c.try(ctx, func() (*http.Request, error) {
			r, err := c.request(ctx, method, path, "application/json", in)
			if err == nil {
				r.Header.Set("Authorization", "Bearer "+token.value)
			}
			return r, err
		})
		var p *Problem
		if !again && errors.As(err, &p) && p.Status == http.StatusUnauthorized {
			c.token.CompareAndSwap(token, nil)
			continue
		}
		return a, err
	}
}

// copy makes a call and writes its answer to w while it comes. It is sent once: a hub that is busy is asked again by whoever calls.
func (c *Client) copy(ctx context.Context, method, path string, in []byte, w io.Writer) error {
	token, err := c.accessToken(ctx)
	if err != nil {
		return err
	}
	r, err := c.request(ctx, method, path, "application/json", in)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token.value)
	response, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("reach the hub: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, err := readAll(response)
		if err != nil {
			return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
		}
		return problemOf(response, body, c.cfg.Now())
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// into makes a call and decodes its answer, giving its status.
func (c *Client) into(ctx context.Context, method, path string, in []byte, out any) (status int, err error) {
	a, err := c.call(ctx, method, path, in)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return 0, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return a.status, nil
}

func (c *Client) request(ctx context.Context, method, path, kind string, in []byte) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		body = bytes.NewReader(in)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.cfg.BaseURL+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request %s %s: %w", method, path, err)
	}
	if in != nil {
		r.Header.Set("Content-Type", kind)
	}
	return r, nil
}

// try sends a request, and again while the hub answers that it is busy: as often as Tries says, waiting as long as Retry-After says,
// or a little longer each time where it does not. Every operation of the hub is safe to repeat.
func (c *Client) try(ctx context.Context, build func() (*http.Request, error)) (answer, error) {
	a, err := c.once(build)
	if c.cfg.Tries == 1 || err == nil || !c.worthRepeating(err) {
		return a, err
	}
	repeated := false
	return backoff.Retry(ctx, func() (answer, error) {
		if repeated {
			a, err = c.once(build)
		}
		repeated = true // the first answer is in already
		var p *Problem
		switch {
		case err == nil:
			return a, nil
		case !c.worthRepeating(err):
			return answer{}, backoff.Permanent(err)
		case errors.As(err, &p) && p.RetryAfter >= 0:
			return answer{}, &waitFor{p, backoff.RetryAfterError{Duration: p.RetryAfter}}
		}
		return answer{}, err
	}, backoff.WithMaxTries(c.cfg.Tries), backoff.WithMaxElapsedTime(0))
}

func (c *Client) worthRepeating(err error) bool {
	var p *Problem
	return errors.As(err, &p) && (p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests) && p.RetryAfter <= c.cfg.MaxWait
}

// waitFor is a problem that says when to try again, in the words of the backoff library.
type waitFor struct {
	*Problem
	after backoff.RetryAfterError
}

func (w *waitFor) Unwrap() []error { return []error{w.Problem, &w.after} }

// once sends a request. An answer that is not 2xx is a *Problem.
func (c *Client) once(build func() (*http.Request, error)) (answer, error) {
	r, err := build()
	if err != nil {
		return answer{}, err
	}
	response, err := c.http.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("reach the hub: %w", err)
	}
	defer response.Body.Close()
	body, err := readAll(response)
	if err != nil {
		return answer{}, fmt.Errorf("read the answer to %s %s: %w", r.Method, r.URL.Path, err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return answer{}, problemOf(response, body, c.cfg.Now())
	}
	return answer{response.StatusCode, body}, nil
}

func readAll(response *http.Response) ([]byte, error) {
	var buf bytes.Buffer
	if n := response.ContentLength; n > 0 && n <= maxAnswerBytes {
		buf.Grow(int(n) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(io.LimitReader(response.Body, maxAnswerBytes+1)); err != nil {
		return nil, err
	}
	if buf.Len() > maxAnswerBytes {
		return nil, fmt.Errorf("it is longer than %d bytes", maxAnswerBytes)
	}
	return buf.Bytes(), nil
}

// Fault is one thing wrong with a message: where, and what to do about it.
type Fault struct {
	Pointer string `json:"pointer"` // RFC 6901: "/carer/nhs_number"
	Rule    string `json:"rule"`
	Detail  string `json:"detail"`
	Remedy  string `json:"remedy"`
}

// Problem is the hub's answer that something is wrong: a problem document (RFC 9457), or an OAuth error (RFC 6749 section 5.2) from
// the token endpoint, whose code is then the Title.
type Problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail"`
	Instance string   `json:"instance"` // tell the hub's operator this when asking about it
	State    string   `json:"state"`    // of the transfer, where that is what is wrong
	Faults   []Fault  `json:"faults"`
	Reasons  []Reason `json:"reasons"`
	// RetryAfter is how long to wait before the same request may succeed; negative when the hub does not say.
	RetryAfter time.Duration `json:"-"`
}

// Error tells all of it, one thing a line.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", p.Status, cmp.Or(p.Title, http.StatusText(p.Status)))
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, f := range p.Faults {
		fmt.Fprintf(&b, "\n  %s: %s; %s", f.Pointer, f.Detail, f.Remedy)
	}
	for _, r := range p.Reasons {
		b.WriteString("\n  " + r.String())
	}
	if p.Instance != "" {
		b.WriteString("\n  ask the hub's operator about " + p.Instance)
	}
	return b.String()
}

func problemOf(response *http.Response, body []byte, now time.Time) *Problem {
	p := &Problem{RetryAfter: retryAfter(response.Header.Get("Retry-After"), now)}
	switch kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind {
	case "application/problem+json":
		if json.Unmarshal(body, p) != nil {
			p.Detail = "the hub's problem document cannot be read"
		}
	case "application/json":
		var oauth struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		if json.Unmarshal(body, &oauth) == nil {
			p.Title, p.Detail = oauth.Error, oauth.Description
		}
	default: // a gateway's page, perhaps: nothing that the hub said
	}
	p.Status = response.StatusCode
	return p
}

// retryAfter reads the header (RFC 9110 section 10.2.3): seconds, or a date. It is negative when there is none.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return -1
}
