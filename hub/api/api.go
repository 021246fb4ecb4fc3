// Package api is the hub over HTTP: OAuth 2.0 log-in for partners' systems, the operations of the OpenAPI document, and problem documents
// (RFC 9457) for everything that goes wrong. It holds no rules of its own: it authenticates, reads, calls the exchange, and answers.
//
// Every request passes the same way: bounded in number and size, authenticated, authorised by scope for its one act, carried out, counted.
// Nothing that a sender wrote, and no id of a person, appears in a URL, a header or a log line.
package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/samber/lo"
	"golang.org/x/time/rate"

	"referralhub/hub/auth"
	"referralhub/hub/bus"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/witness"
	"referralhub/hub/rights"
	"referralhub/hub/transfer"
)

// Watcher wakes those who wait for something to arrive in an inbox.
type Watcher interface {
	// Watch gives a channel that receives after something was queued for the partner, until ctx ends. It may wake for nothing, and
	// may miss something while the bus is away.
	Watch(ctx context.Context, recipient transfer.PartnerID) (<-chan struct{}, error)
}

// Config is what the API is made of. Every field without a default named is required.
type Config struct {
	Exchange *exchange.Exchange
	Rights   *rights.Rights
	Clients  *auth.Clients
	Tokens   *auth.Tokens
	Watcher  Watcher
	Issuer   string // "https://hub.example": the base of the token endpoint and of the metadata
	Source   func(context.Context) ledger.Source
	Board    *witness.Board // where checkpoints are published
	Origin   string         // of this copy's log
	Verifier string         // its verifier key, in the note format
	Ready    func(context.Context) error
	Registry *prometheus.Registry
	Log      *slog.Logger
	Now      func() time.Time

	MaxBodyBytes int64 // of one message: 1 MiB
	MaxInFlight  int   // requests worked on at once; past it 503: 128
}

type server struct {
	Config
	router   *mux.Router
	slots    chan struct{}
	closing  chan struct{} // closed when long polls are to end
	close    sync.Once
	failures *failureLimit
	prover   ledger.Prover // remembers the tiles of full subtrees, which never change
	requests *prometheus.HistogramVec
}

// API serves the hub's operations.
type API struct {
	http.Handler
	s *server
}

// New builds the routes.
func New(cfg Config) (*API, error) {
	if cfg.Exchange == nil || cfg.Rights == nil || cfg.Clients == nil || cfg.Tokens == nil || cfg.Watcher == nil || cfg.Source == nil || cfg.Board == nil || cfg.Issuer == "" {
		return nil, errors.New("api: exchange, rights, clients, tokens, watcher, source, board and issuer are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxBodyBytes == 0 {
		cfg.MaxBodyBytes = 1 << 20
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = 128
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	failures, err := newFailureLimit(rate.Limit(5), 20)
	if err != nil {
		return nil, err
	}
	s := &server{Config: cfg, closing: make(chan struct{}), slots: make(chan struct{}, cfg.MaxInFlight), failures: failures}
	s.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "hub_http_request_seconds", Help: "Time to answer, by route and status.",
		Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10},
	}, []string{"route", "status"})
	if err := cfg.Registry.Register(s.requests); err != nil {
		return nil, err
	}
	s.router = s.routes()
	return &API{Handler: s.router, s: s}, nil
}

// Close ends the long polls, so that a shutdown does not wait for them. Other requests go on.
func (a *API) Close() { a.s.close.Do(func() { close(a.s.closing) }) }

// Intake is POST /v1/referrals over NATS: the same body, the same token, the same answer.
func (a *API) Intake(ctx context.Context, in bus.Request) bus.Reply {
	r := (&http.Request{Header: in.Header}).WithContext(ctx)
	out, err := a.s.intake(ctx, in)
	if err != nil {
		out = a.s.problem(r, err)
	}
	body, err := json.Marshal(out.body)
	if err != nil {
		out = a.s.problem(r, err)
	}
	header := http.Header{"Content-Type": {orJSON(out.kind)}}
	for k, v := range out.header {
		header.Set(k, v)
	}
	return bus.Reply{Status: cmp.Or(out.status, http.StatusOK), Header: header, Body: body}
}

func (s *server) intake(ctx context.Context, in bus.Request) (answer, error) {
	release, err := s.slot()
	if err != nil {
		return answer{}, err
	}
	defer release()
	who, err := s.principal(in.Header.Get("Authorization"), "referrals:send")
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return s.submitBody(ctx, who, in.Body)
}

func (s *server) routes() *mux.Router {
	// A path is taken as it stands: the router's own cleaning would answer with a redirect, which no client of an API follows.
	r := mux.NewRouter().SkipClean(true)
	free := func(method, path string, h handler) { r.Handle(path, s.count(path, h)).Methods(method) }
	act := func(method, path, scope string, h func(*http.Request, auth.Principal) (answer, error)) {
		free(method, path, s.slotted(s.as(scope, h)))
	}
	// What costs nothing is answered however busy the hub is; a hub that is alive and has much to do must not be taken for dead.
	free(http.MethodGet, "/healthz", func(*http.Request) (answer, error) { return answer{body: map[string]string{"status": "ok"}}, nil })
	free(http.MethodGet, "/readyz", s.slotted(s.ready))
	r.Handle("/metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{})).Methods(http.MethodGet)
	free(http.MethodGet, "/openapi.json", s.openAPI)
	free(http.MethodGet, "/{name}.schema.json", s.schema) // beside the document, whose references are relative
	free(http.MethodGet, "/.well-known/oauth-authorization-server", s.metadata)
	free(http.MethodGet, "/.well-known/jwks.json", s.jwks)
	free(http.MethodPost, "/oauth/token", s.token) // takes a slot once the form has come: a stranger may send it as slowly as it likes

	act(http.MethodPost, "/v1/referrals", "referrals:send", s.submit)
	act(http.MethodPost, "/v1/referrals/batch", "referrals:send", s.submitBatch)
	act(http.MethodPost, "/v1/decisions", "decisions:ask", s.consider)
	act(http.MethodGet, "/v1/transfers", "transfers:read", s.transfers)
	act(http.MethodGet, "/v1/transfers/{transfer_id}", "transfers:read", s.transfer)
	act(http.MethodPost, "/v1/transfers/{transfer_id}/receipts", "receipts:write", s.receipt)
	act(http.MethodPost, "/v1/receipts", "receipts:write", s.receipts)
	act(http.MethodPost, "/v1/inbox/{transfer_id}/collect", "inbox:read", s.collect)
	act(http.MethodPost, "/v1/inbox/collect", "inbox:read", s.collectBatch)
	act(http.MethodPost, "/v1/consents", "consents:write", s.consent)
	act(http.MethodGet, "/v1/holds", "holds:read", s.holds)
	act(http.MethodPost, "/v1/holds/{transfer_id}/ruling", "holds:settle", s.rule)
	act(http.MethodGet, "/v1/exceptions", "holds:read", s.exceptions)
	act(http.MethodPost, "/v1/exceptions/{transfer_id}/review", "holds:settle", s.review)
	act(http.MethodPost, "/v1/requests", "requests:handle", s.enterRequest)
	act(http.MethodGet, "/v1/requests", "requests:handle", s.listRequests)
	act(http.MethodPost, "/v1/requests/{reference}/decision", "requests:handle", s.decideRequest)
	act(http.MethodPost, "/v1/disclosures", "disclosures:enter", s.disclosed)
	free(http.MethodPost, "/v1/disclosures/search", s.slotted(s.asks(s.search)))
	free(http.MethodPost, "/v1/disclosures/export", s.asks(s.export)) // it keeps its slot for as long as somebody reads
	act(http.MethodGet, "/v1/flows", "disclosures:search", s.flows)
	act(http.MethodPost, "/v1/cases", "cases:handle", s.openCase)
	act(http.MethodGet, "/v1/cases", "cases:handle", s.cases)
	act(http.MethodGet, "/v1/cases/{reference}", "cases:handle", s.getCase)
	act(http.MethodPost, "/v1/cases/{reference}/steps", "cases:handle", s.takeStep)
	act(http.MethodGet, "/v1/cases/{reference}/report", "cases:handle", s.caseReport)
	act(http.MethodGet, "/v1/complaints/inventory", "cases:handle", s.inventory)
	act(http.MethodPost, "/v1/incidents/size", "cases:handle", s.sizeIncident)
	act(http.MethodGet, "/v1/incidents/{reference}/notification", "cases:handle", s.notification)
	act(http.MethodGet, "/v1/notices", "notices:answer", s.notices)
	act(http.MethodGet, "/v1/notices/{notice_id}", "notices:answer", s.notice)
	act(http.MethodPost, "/v1/notices/{notice_id}/answers", "notices:answer", s.answerNotice)
	act(http.MethodGet, "/v1/agreements", "", s.agreements)
	act(http.MethodGet, "/v1/agreements/{agreement}/versions/{version}", "", s.agreement)
	act(http.MethodPost, "/v1/agreements/{agreement}/versions/{version}/acts", "agreements:act", s.actOn)
	act(http.MethodPost, "/v1/agreements/{agreement}/versions/{version}/signatures", "agreements:act", s.signature)
	act(http.MethodGet, "/v1/partners", "", s.partners)
	act(http.MethodGet, "/v1/log/checkpoint", "", s.checkpoint)
	act(http.MethodGet, "/v1/log/checkpoints", "", s.checkpoints)
	act(http.MethodPost, "/v1/log/cosignatures", "log:read", s.cosign)
	act(http.MethodGet, "/v1/log/receipts/{transfer_id}", "transfers:read", s.disclosureReceipt)
	act(http.MethodPost, "/v1/log/reconciliations", "log:read", s.reconcile)
	act(http.MethodGet, "/v1/log/proofs/inclusion", "", s.inclusion)
	act(http.MethodGet, "/v1/log/proofs/consistency", "", s.consistency)
	free(http.MethodGet, "/v1/inbox", s.as("inbox:read", s.inbox)) // a long poll holds a slot only while it looks

	r.NotFoundHandler = s.count("unknown", func(*http.Request) (answer, error) {
		return answer{}, &Problem{Status: http.StatusNotFound, Title: "No such path", Detail: "The operations are listed at /openapi.json."}
	})
	r.MethodNotAllowedHandler = s.count("unknown", func(in *http.Request) (answer, error) {
		return answer{}, &Problem{
			Status: http.StatusMethodNotAllowed, Title: "Method not allowed", Detail: "The operations of this path are listed at /openapi.json.",
			header: map[string]string{"Allow": allowed(r, in)},
		}
	})
	return r
}

// allowed lists the methods that a path does have (RFC 9110 section 15.5.6).
func allowed(r *mux.Router, in *http.Request) string {
	return strings.Join(lo.Filter([]string{http.MethodGet, http.MethodPost}, func(method string, _ int) bool {
		probe := *in
		probe.Method = method
		var m mux.RouteMatch
		return r.Match(&probe, &m) && m.MatchErr == nil
	}), ", ")
}

// Operations lists what is served, as "POST /v1/referrals", in no order. Parameters of a path stand in braces.
func (a *API) Operations() []string {
	var out []string
	// Neither the walk nor its visitor can fail: every route has a path and a method.
	_ = a.s.router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, _ := route.GetPathTemplate()
		methods, _ := route.GetMethods()
		for _, method := range methods {
			out = append(out, method+" "+path)
		}
		return nil
	})
	return out
}

// answer is what a handler came to, before it is written.
type answer struct {
	status int // 200 when zero
	body   any // encoded as JSON; []byte is sent as it is, a stream as it is written
	kind   string
	header map[string]string
}

// stream writes a body that is too large to hold. It is called once.
type stream func(io.Writer) error

type handler func(*http.Request) (answer, error)

// slotted bounds how many requests are worked on at once, and for how long.
func (s *server) slotted(h handler) handler {
	return func(r *http.Request) (answer, error) {
		release, err := s.slot()
		if err != nil {
			return answer{}, err
		}
		defer release()
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		return h(r.WithContext(ctx))
	}
}

// requestTimeout bounds a request: a client that hears nothing for so long has given up.
const requestTimeout = 30 * time.Second

// slot takes one of the places for requests, or says that there is none. It does not wait: past the bound only latency would grow.
func (s *server) slot() (release func(), err error) {
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	default:
		return nil, errBusy
	}
}

// count writes the answer and measures it.
func (s *server) count(route string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		a, err := guarded(func() (answer, error) { return h(r) })
		if err != nil {
			a = s.problem(r, err)
		}
		status, err := s.write(w, r, a)
		s.requests.WithLabelValues(route, strconv.Itoa(status)).Observe(time.Since(start).Seconds())
		if err != nil {
			panic(http.ErrAbortHandler) // what has been sent is not all: nobody may take it for that
		}
	})
}

// guarded turns a panic into an error, so that it is answered and logged like any other fault of the hub's own. What panicked may hold
// anything, so only where it happened is kept.
func guarded(h func() (answer, error)) (a answer, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("panic:\n%s", debug.Stack())
		}
	}()
	return h()
}

// as authenticates and authorises before h. An empty scope admits every partner.
func (s *server) as(scope string, h func(*http.Request, auth.Principal) (answer, error)) handler {
	return func(r *http.Request) (answer, error) {
		who, err := s.principal(r.Header.Get("Authorization"), scope)
		if err != nil {
			return answer{}, err
		}
		return h(r, who)
	}
}

func (s *server) principal(authorization, scope string) (auth.Principal, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return auth.Principal{}, &Problem{
			Status: http.StatusUnauthorized, Title: "Not authenticated",
			Detail: "This operation needs an access token: Authorization: Bearer <token>, from POST /oauth/token.",
			header: map[string]string{"WWW-Authenticate": "Bearer"},
		}
	}
	who, err := s.Tokens.Verify(token, s.Now())
	if errors.Is(err, auth.ErrSuspended) {
		return auth.Principal{}, &Problem{Status: http.StatusForbidden, Title: "Suspended", Detail: err.Error() + "."}
	}
	if err != nil {
		return auth.Principal{}, &Problem{
			Status: http.StatusUnauthorized, Title: "Access token not accepted", Detail: err.Error() + ".",
			header: map[string]string{"WWW-Authenticate": `Bearer error="invalid_token"`},
		}
	}
	if scope != "" && !who.May(scope) {
		return auth.Principal{}, notAllowed(scope)
	}
	return who, nil
}

func notAllowed(scope string) *Problem {
	return &Problem{
		Status: http.StatusForbidden, Title: "Not allowed",
		Detail: "This operation needs the scope " + scope + ", which the token does not have. Ask for it at POST /oauth/token; if it is refused there, ask the hub's operator to add it to this system.",
		header: map[string]string{"WWW-Authenticate": `Bearer error="insufficient_scope", scope="` + scope + `"`},
	}
}
