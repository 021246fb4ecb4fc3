package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"referralhub/hub/auth"
	"referralhub/hub/store"
)

const maxFormBytes = 32 << 10

// token is the token endpoint: OAuth 2.0 client credentials with private_key_jwt (RFC 6749 section 4.4, RFC 7523 section 2.2). Its errors
// are OAuth's own, which every OAuth library understands.
func (s *server) token(r *http.Request) (answer, error) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if !s.failures.allow(host) {
		// Before verifying: forgeries must not cost the hub a signature check each.
		return answer{}, &Problem{
			Status: http.StatusTooManyRequests, Title: "Too many failed log-ins", Detail: "Wait for the time in Retry-After, and look at what the last answers said.",
			header: map[string]string{"Retry-After": "10"},
		}
	}
	form, wrong := tokenForm(r)
	a, err := s.slotted(func(r *http.Request) (answer, error) {
		if wrong != "" {
			return oauthError(http.StatusBadRequest, "invalid_request", wrong), nil
		}
		return s.issue(r.Context(), form)
	})(r)
	if err == nil && a.status >= http.StatusBadRequest {
		s.failures.failed(host)
	}
	return a, err
}

// tokenForm reads the form of a token request, or says what is wrong with it. A parameter stands in it once (RFC 6749 section 3.2):
// of two, somebody on the way may have read the other.
func tokenForm(r *http.Request) (form url.Values, wrong string) {
	const kind = "application/x-www-form-urlencoded"
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != kind {
		return nil, "the body is not sent as Content-Type: " + kind
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxFormBytes)
	if err := r.ParseForm(); err != nil {
		return nil, fmt.Sprintf("the body is not a form (%s) of at most %d bytes", kind, maxFormBytes)
	}
	for _, name := range []string{"grant_type", "client_assertion_type", "client_assertion", "scope", "client_id"} {
		if len(r.PostForm[name]) > 1 {
			return nil, name + " stands in the form more than once"
		}
	}
	return r.PostForm, ""
}

func (s *server) issue(ctx context.Context, form url.Values) (answer, error) {
	switch {
	case form.Get("grant_type") == "":
		return oauthError(http.StatusBadRequest, "invalid_request", "grant_type is missing: it is client_credentials"), nil
	case form.Get("grant_type") != "client_credentials":
		return oauthError(http.StatusBadRequest, "unsupported_grant_type", "grant_type must be client_credentials"), nil
	case form.Get("client_assertion_type") != auth.AssertionType:
		return oauthError(http.StatusBadRequest, "invalid_request", "client_assertion_type must be "+auth.AssertionType), nil
	case form.Get("client_assertion") == "":
		return oauthError(http.StatusBadRequest, "invalid_request", "client_assertion is missing"), nil
	}
	assertion, err := s.Clients.Verify(form.Get("client_assertion"), s.Now())
	if err != nil {
		return oauthError(http.StatusUnauthorized, "invalid_client", err.Error()), nil
	}
	digest := sha256.Sum256([]byte(string(assertion.System) + "\x00" + assertion.ID))
	switch err := s.Exchange.Spend(ctx, digest, assertion.Until); {
	case errors.Is(err, store.ErrConflict):
		return oauthError(http.StatusUnauthorized, "invalid_client", "jti: this assertion was used before; sign a new one for each request"), nil
	case err != nil:
		return answer{}, err
	}
	sys, partner, known := s.Clients.System(assertion.System)
	if !known {
		return oauthError(http.StatusUnauthorized, "invalid_client", "iss: no such system"), nil
	}
	scopes := strings.Fields(form.Get("scope"))
	if len(scopes) == 0 {
		scopes = sys.Scopes
	}
	token, life, err := s.Tokens.Issue(sys, partner, scopes, s.Now())
	switch {
	case errors.Is(err, auth.ErrInvalidScope):
		return oauthError(http.StatusBadRequest, "invalid_scope", err.Error()), nil
	case errors.Is(err, auth.ErrSuspended):
		return oauthError(http.StatusUnauthorized, "invalid_client", err.Error()), nil
	case err != nil:
		return answer{}, err
	}
	return answer{body: map[string]any{
		"access_token": token, "token_type": "Bearer", "expires_in": int(life.Seconds()), "scope": strings.Join(scopes, " "),
	}}, nil
}

// oauthError is an error of RFC 6749 section 5.2, whose descriptions know neither quotation marks nor backslashes.
func oauthError(status int, code, description string) answer {
	description = strings.NewReplacer(`"`, "'", `\`, "/").Replace(description)
	a := answer{status: status, body: map[string]string{"error": code, "error_description": description}}
	if status == http.StatusUnauthorized {
		a.header = map[string]string{"WWW-Authenticate": "Bearer"}
	}
	return a
}

// metadata is RFC 8414: how a client finds its way.
func (s *server) metadata(*http.Request) (answer, error) {
	return answer{body: map[string]any{
		"issuer": s.Issuer, "token_endpoint": s.Issuer + "/oauth/token", "jwks_uri": s.Issuer + "/.well-known/jwks.json",
		"grant_types_supported": []string{"client_credentials"}, "response_types_supported": []string{},
		"token_endpoint_auth_methods_supported":            []string{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"ES256", "ES384", "EdDSA", "PS256", "RS384", "RS512"},
		"service_documentation":                            s.Issuer + "/openapi.json",
		"scopes_supported": []string{
			"referrals:send", "decisions:ask", "inbox:read", "receipts:write", "consents:write", "transfers:read", "disclosures:search", "disclosures:enter", "holds:read", "holds:settle",
			"exceptions:claim", "requests:handle", "log:read", "agreements:act", "cases:handle", "notices:answer",
		},
	}}, nil
}

func (s *server) jwks(*http.Request) (answer, error) {
	return answer{body: json.RawMessage(s.Tokens.JWKS())}, nil
}

// failureLimit slows down an address that keeps failing to log in. It remembers a bounded number of addresses.
type failureLimit struct {
	every rate.Limit
	burst int
	seen  *lru.Cache[string, *rate.Limiter]
}

func newFailureLimit(every rate.Limit, burst int) (*failureLimit, error) {
	seen, err := lru.New[string, *rate.Limiter](4096)
	if err != nil {
		return nil, err
	}
	return &failureLimit{every: every, burst: burst, seen: seen}, nil
}

func (f *failureLimit) allow(host string) bool {
	l, known := f.seen.Get(host)
	return !known || l.Tokens() >= 1
}

func (f *failureLimit) failed(host string) {
	l, known := f.seen.Get(host)
	if !known {
		l = rate.NewLimiter(f.every, f.burst)
		f.seen.Add(host, l)
	}
	l.Allow()
}
