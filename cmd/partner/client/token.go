package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"referralhub/hub/auth"
)

// accessToken is immutable: another replaces it.
type accessToken struct {
	value   string
	renewal time.Time // from when on a new one is fetched
}

// Token gives an access token that is good for a while yet, fetching one when needed.
func (c *Client) Token(ctx context.Context) (string, error) {
	t, err := c.accessToken(ctx)
	if err != nil {
		return "", err
	}
	return t.value, nil
}

func (c *Client) accessToken(ctx context.Context) (*accessToken, error) {
	if t := c.usable(); t != nil {
		return t, nil
	}
	// One fetches; the others wait for what it brings.
	select {
	case <-c.refresh:
		defer func() { c.refresh <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for an access token: %w", context.Cause(ctx))
	}
	if t := c.usable(); t != nil {
		return t, nil
	}
	t, err := c.fetchToken(ctx)
	if err != nil {
		return nil, fmt.Errorf("get an access token: %w", err)
	}
	c.token.Store(t)
	return t, nil
}

func (c *Client) usable() *accessToken {
	if t := c.token.Load(); t != nil && c.cfg.Now().Before(t.renewal) {
		return t
	}
	return nil
}

// fetchToken asks the token endpoint: client credentials (RFC 6749 section 4.4) with private_key_jwt (RFC 7523 section 2.2).
func (c *Client) fetchToken(ctx context.Context) (*accessToken, error) {
	asked := c.cfg.Now()
	a, err := c.try(ctx, func() (*http.Request, error) {
		assertion, err := c.assertion() // for each try a new one: the hub takes each only once
		if err != nil {
			return nil, err
		}
		form := url.Values{
			"grant_type":            {"client_credentials"},
			"client_assertion_type": {auth.AssertionType},
			"client_assertion":      {assertion},
		}
		if len(c.cfg.Scopes) > 0 {
			form.Set("scope", strings.Join(c.cfg.Scopes, " "))
		}
		return c.request(ctx, http.MethodPost, "/oauth/token", "application/x-www-form-urlencoded", []byte(form.Encode()))
	})
	if err != nil {
		return nil, err
	}
	var granted struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Seconds int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(a.body, &granted); err != nil || granted.Token == "" || !strings.EqualFold(granted.Type, "Bearer") {
		return nil, errors.New("the token endpoint's answer holds no bearer token")
	}
	life := time.Duration(granted.Seconds) * time.Second
	return &accessToken{granted.Token, asked.Add(life - life/10)}, nil
}

// assertion says who we are, to this hub, for the next minute, once.
func (c *Client) assertion() (string, error) {
	now := c.cfg.Now()
	return c.cfg.Key.Sign("JWT", &jwt.RegisteredClaims{
		Issuer:    string(c.cfg.System),
		Subject:   string(c.cfg.System),
		Audience:  jwt.ClaimStrings{c.cfg.Audience},
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(time.Minute)),
		ID:        rand.Text(),
	})
}
