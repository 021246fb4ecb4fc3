// Package hubtest plays a referral hub over HTTP for tests of its clients: it checks assertions and tokens as the hub does, keeps
// a real Merkle log, and answers the operations with what it was told to. It decides nothing.
package hubtest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"referralhub/hub/auth"
	"referralhub/hub/transfer"
)

// System is the one client that the hub knows, and Partner whose it is.
const (
	System  = transfer.SystemID("age-uk-hertfordshire/crm")
	Partner = transfer.PartnerID("age-uk-hertfordshire")
)

// Origin names the hub's log.
const Origin = "hub.example/log"

// Hub is a hub on a loopback address.
type Hub struct {
	URL         string
	Key         auth.Key // of System
	VerifierKey string   // of the log
	Tokens      *auth.Tokens

	mu       sync.Mutex
	now      time.Time
	seen     []Request
	scripted map[string][]Answer
	spent    map[string]bool
	signer   note.Signer
	leaves   [][]byte
	hashes   []tlog.Hash // tlog's stored hashes
}

// Request is one that reached the hub, token requests included.
type Request struct {
	Line string // "POST /v1/referrals"
	Body string
	Auth bool // it came with a good token
}

// Answer is what the hub is told to say, once.
type Answer struct {
	Status int
	Header map[string]string
	Body   string // problem+json for a status of 400 and above
}

// New starts a hub whose clock stands still.
func New(t testing.TB) *Hub {
	t.Helper()
	h := &Hub{now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), scripted: make(map[string][]Answer), spent: make(map[string]bool)}
	var err error
	if h.Key, err = auth.GenerateKey("ES256"); err != nil {
		t.Fatal(err)
	}
	skey, vkey, err := note.GenerateKey(rand.Reader, Origin)
	if err != nil {
		t.Fatal(err)
	}
	h.VerifierKey = vkey
	if h.signer, err = note.NewSigner(skey); err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter()
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	h.URL = server.URL

	signing, err := auth.GenerateKey("EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	if h.Tokens, err = auth.NewTokens(auth.TokensConfig{Issuer: h.URL, Keys: []auth.Key{signing}}); err != nil {
		t.Fatal(err)
	}
	clients, err := auth.NewClients(auth.ClientsConfig{Audiences: []string{h.URL + "/oauth/token"}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := auth.JWKS(h.Key)
	if err != nil {
		t.Fatal(err)
	}
	system := transfer.System{ID: System, Algorithms: []string{"ES256"}, Scopes: []string{"inbox:read", "log:read", "referrals:send"}}
	if err := clients.Replace(map[transfer.SystemID]auth.ClientKeys{System: {System: system, Partner: Partner, JWKS: set}}); err != nil {
		t.Fatal(err)
	}
	router.HandleFunc("/oauth/token", func(w http.ResponseWriter, r *http.Request) { h.token(w, r, clients, system) })
	router.HandleFunc("/v1/log/checkpoint", h.authorised(h.checkpoint))
	router.HandleFunc("/v1/log/proofs/inclusion", h.authorised(h.inclusion))
	router.HandleFunc("/v1/log/proofs/consistency", h.authorised(h.consistency))
	router.PathPrefix("/v1/").HandlerFunc(h.authorised(func(w http.ResponseWriter, _ *http.Request) {
		write(w, Answer{Status: http.StatusNotFound, Body: `{"title":"No such thing","status":404}`})
	}))
	return h
}

// Now is the hub's clock, for the client to share.
func (h *Hub) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// Pass lets time pass.
func (h *Hub) Pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// Answer tells the hub what to say to the next requests of a line ("POST /v1/referrals", without the query), one after the
// other; the last one is said from then on.
func (h *Hub) Answer(line string, answers ...Answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.scripted[line] = answers
}

// Seen lists the requests that came, oldest first.
func (h *Hub) Seen() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Request(nil), h.seen...)
}

// Count says how many requests of a line came.
func (h *Hub) Count(line string) int {
	n := 0
	for _, r := range h.Seen() {
		if r.Line == line {
			n++
		}
	}
	return n
}

// Release writes a release leaf for a dataset and gives the answer to its collection.
func (h *Hub) Release(t testing.TB, id transfer.TransferID, dataset string) string {
	t.Helper()
	mac := hmac.New(sha256.New, make([]byte, 32))
	mac.Write([]byte(dataset))
	digest := "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil))
	const common = `"sender":"carers-in-hertfordshire","purpose":"referral.service","agreement":{"id":"hertswise","version":1,"digest":"sha256:00","flow":"refer"}`
	index := h.Log(t, fmt.Sprintf(`{"kind":"release","transfer":%q,"payload":%q,%s}`, id, digest, common))
	return fmt.Sprintf(`{"disclosure":{"transfer_id":%q,"message_type":"referral/1",%s,"lawful_basis":{"article6":"a"},"outcome":"permit-reduced","released_at":"2026-03-02T12:00:00Z","payload_digest":%q,"digest_key":"%064x","log":{"origin":%q,"index":%d}},"dataset":%s}`,
		id, common, digest, 0, Origin, index, dataset)
}

// Log appends a leaf and gives its index.
func (h *Hub) Log(t testing.TB, leaf string) int64 {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	index := int64(len(h.leaves))
	h.leaves = append(h.leaves, []byte(leaf))
	hashes, err := tlog.StoredHashes(index, []byte(leaf), h.reader())
	if err != nil {
		t.Fatal(err)
	}
	h.hashes = append(h.hashes, hashes...)
	return index
}

// Rewrite changes what the log says at index, as nobody must.
func (h *Hub) Rewrite(t testing.TB, index int64, leaf string) {
	t.Helper()
	h.mu.Lock()
	leaves := h.leaves
	h.leaves, h.hashes = nil, nil
	h.mu.Unlock()
	for i, l := range leaves {
		if int64(i) == index {
			l = []byte(leaf)
		}
		h.Log(t, string(l))
	}
}

func (h *Hub) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = h.hashes[at]
		}
		return out, nil
	})
}

func (h *Hub) token(w http.ResponseWriter, r *http.Request, clients *auth.Clients, system transfer.System) {
	if h.note(w, r, false) {
		return
	}
	assertion, err := clients.Verify(r.PostFormValue("client_assertion"), h.Now())
	h.mu.Lock()
	again := h.spent[assertion.ID]
	h.spent[assertion.ID] = true
	h.mu.Unlock()
	oauth := func(status int, code, detail string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": detail})
	}
	switch {
	case r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("client_assertion_type") != auth.AssertionType:
		oauth(http.StatusBadRequest, "invalid_request", "not the grant that partners use")
		return
	case err != nil:
		oauth(http.StatusUnauthorized, "invalid_client", err.Error())
		return
	case again:
		oauth(http.StatusUnauthorized, "invalid_client", "jti: this assertion was used before")
		return
	}
	token, life, err := h.Tokens.Issue(system, Partner, strings.Fields(r.PostFormValue("scope")), h.Now())
	if err != nil {
		oauth(http.StatusBadRequest, "invalid_scope", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(life.Seconds())})
}

// note keeps a request, and answers it when there is a scripted answer.
func (h *Hub) note(w http.ResponseWriter, r *http.Request, authorised bool) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	line := r.Method + " " + r.URL.Path
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	h.mu.Lock()
	h.seen = append(h.seen, Request{line, string(body), authorised})
	script := h.scripted[line]
	if len(script) > 1 {
		h.scripted[line] = script[1:]
	}
	h.mu.Unlock()
	if len(script) == 0 || script[0].Status == 0 {
		return false
	}
	write(w, script[0])
	return true
}

func write(w http.ResponseWriter, a Answer) {
	w.Header().Set("Content-Type", "application/json")
	if a.Status >= 400 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	for k, v := range a.Header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(a.Status)
	io.WriteString(w, a.Body)
}

func (h *Hub) authorised(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		_, err := h.Tokens.Verify(token, h.Now())
		switch {
		case err != nil:
			h.mu.Lock()
			h.seen = append(h.seen, Request{Line: r.Method + " " + r.URL.Path})
			h.mu.Unlock()
			write(w, Answer{Status: http.StatusUnauthorized, Body: `{"title":"Access token not accepted","status":401}`})
		case !h.note(w, r, true):
			then(w, r)
		}
	}
}

func (h *Hub) checkpoint(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	size := int64(len(h.leaves))
	root, err := tlog.TreeHash(size, h.reader())
	if err != nil {
		write(w, Answer{Status: http.StatusInternalServerError})
		return
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", Origin, size, root)}, h.signer)
	if err != nil {
		write(w, Answer{Status: http.StatusInternalServerError})
		return
	}
	w.Write(signed)
}

func (h *Hub) inclusion(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	index, size := number(r, "index"), number(r, "size")
	proof, err := tlog.ProveRecord(size, index, h.reader())
	if err != nil {
		write(w, Answer{Status: http.StatusUnprocessableEntity, Body: `{"title":"No such proof","status":422}`})
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"index": index, "size": size, "leaf_hash": tlog.RecordHash(h.leaves[index]), "proof": proof, "leaf": h.leaves[index]})
}

func (h *Hub) consistency(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from, to := number(r, "from"), number(r, "to")
	proof, err := tlog.ProveTree(to, from, h.reader())
	if err != nil {
		write(w, Answer{Status: http.StatusUnprocessableEntity, Body: `{"title":"No such proof","status":422}`})
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"from": from, "to": to, "proof": proof})
}

func number(r *http.Request, name string) int64 {
	n, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
	if err != nil {
		return -1
	}
	return n
}
