// Package vaulttest is a stand-in for HashiCorp Vault: the two endpoints of its transit engine that tink's client calls, in the shapes of
// https://developer.hashicorp.com/vault/api-docs/secret/transit. It is not Vault: it has no policies, no versions of a key and no storage.
package vaulttest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
)

// Vault answers over TLS to whoever shows Token.
type Vault struct {
	Token string
	Asked atomic.Int64 // requests that it has answered well
	Away  atomic.Bool  // it is sealed: every answer is 503

	keys   map[string]cipher.AEAD
	server *httptest.Server
}

// New starts a stand-in that holds keys of these names. Close ends it.
func New(names ...string) (*Vault, error) {
	v := &Vault{Token: "hvs." + rand.Text(), keys: map[string]cipher.AEAD{}}
	for _, name := range names {
		key := make([]byte, 32)
		rand.Read(key)
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		if v.keys[name], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, err
		}
	}
	v.server = httptest.NewTLSServer(http.HandlerFunc(v.answer))
	return v, nil
}

// Close ends it: from then on nobody answers.
func (v *Vault) Close() { v.server.Close() }

// URL is where it answers, for VAULT_ADDR.
func (v *Vault) URL() string { return v.server.URL }

// URI is that of a key.
func (v *Vault) URI(name string) string {
	return "hcvault://" + strings.TrimPrefix(v.server.URL, "https://") + "/transit/keys/" + name
}

// Authority is the certificate to trust, in PEM, for VAULT_CACERT.
func (v *Vault) Authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.server.Certificate().Raw})
}

func (v *Vault) answer(w http.ResponseWriter, r *http.Request) {
	data, status, fault := v.act(r)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body := map[string]any{"errors": []string{fault}}
	if fault == "" {
		v.Asked.Add(1)
		body = map[string]any{"data": data}
	}
	_ = json.NewEncoder(w).Encode(body) // a client that is gone needs no answer
}

func (v *Vault) act(r *http.Request) (data map[string]any, status int, fault string) {
	if v.Away.Load() {
		return nil, http.StatusServiceUnavailable, "Vault is sealed"
	}
	if r.Header.Get("X-Vault-Token") != v.Token {
		return nil, http.StatusForbidden, "permission denied"
	}
	parts := strings.Split(r.URL.Path, "/") // "", "v1", "transit", "encrypt", name
	if r.Method != http.MethodPut || len(parts) != 5 || parts[1] != "v1" || parts[2] != "transit" {
		return nil, http.StatusNotFound, "no handler for route"
	}
	key := v.keys[parts[4]]
	if key == nil {
		return nil, http.StatusBadRequest, "encryption key not found"
	}
	var asked struct {
		Plaintext      []byte `json:"plaintext"` // base64
		Ciphertext     string `json:"ciphertext"`
		AssociatedData []byte `json:"associated_data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return nil, http.StatusBadRequest, "failed to parse JSON input"
	}
	const prefix = "vault:v1:"
	switch parts[3] {
	case "encrypt":
		sealed := key.Seal(nil, nil, asked.Plaintext, asked.AssociatedData) //nolint:gosec // the cipher makes a nonce itself
		return map[string]any{"ciphertext": prefix + base64.StdEncoding.EncodeToString(sealed), "key_version": 1}, http.StatusOK, ""
	case "decrypt":
		sealed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(asked.Ciphertext, prefix))
		if err != nil {
			return nil, http.StatusBadRequest, "invalid ciphertext: could not decode base64"
		}
		plain, err := key.Open(nil, nil, sealed, asked.AssociatedData)
		if err != nil {
			return nil, http.StatusBadRequest, fmt.Sprint("invalid ciphertext: ", err)
		}
		return map[string]any{"plaintext": plain}, http.StatusOK, ""
	}
	return nil, http.StatusNotFound, "no handler for route"
}
