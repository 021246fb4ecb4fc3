package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"referralhub/cmd/partner/client/hubtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"partner": main})
}

// The scripts in testdata run the program against a hub that says what the script's author would expect of a real one.
func TestPartner(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			hub := hubtest.New(t)
			hub.Pass(time.Since(hub.Now()))
			script(t, hub)
			env.Values["hub"] = hub
			private, err := hub.Key.MarshalPEM()
			if err != nil {
				return err
			}
			env.Setenv("HUB_URL", hub.URL)
			env.Setenv("HUB_SYSTEM", string(hubtest.System))
			env.Setenv("HUB_KEY", "registered.pem")
			env.Setenv("LOG_KEY", hub.VerifierKey)
			return os.WriteFile(filepath.Join(env.WorkDir, "registered.pem"), private, 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// hub-rewrites changes an entry of the hub's log behind everybody's back.
			"hub-rewrites": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Value("hub").(*hubtest.Hub).Rewrite(t, 0, `{"kind":"decision","outcome":"permit"}`)
			},
			"hub-logs": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Value("hub").(*hubtest.Hub).Log(t, `{"kind":"decision"}`)
			},
		},
	})
}

func script(t *testing.T, hub *hubtest.Hub) {
	ok := func(line, body string) { hub.Answer(line, hubtest.Answer{Status: http.StatusOK, Body: body}) }
	const transfers = `"transfers":[` +
		`{"transfer_id":"t-1","recipient":"pohwer","outcome":"permit-reduced","state":"queued","agreement":{"id":"hertswise","version":1,"flow":"refer"},` +
		`"subjects":[{"role":"carer","position":0,"stripped":["carer.address"]},{"role":"child","position":1,"stripped":["child.school"]}],` +
		`"reasons":[{"code":"NOT_IN_AGREEMENT","role":"carer","detail":"the agreement does not cover the address","remedy":"nothing to do"}]},` +
		`{"transfer_id":"t-2","recipient":"herts-fire","outcome":"hold","state":"held","owner":"dpl","deadline":"2026-03-04T12:00:00Z"}]`
	hub.Answer("POST /v1/referrals", hubtest.Answer{Status: http.StatusCreated, Body: `{"message_id":"m-1",` + transfers + `}`},
		hubtest.Answer{Status: http.StatusOK, Body: `{"message_id":"m-1",` + transfers + `}`},
		hubtest.Answer{Status: http.StatusUnprocessableEntity, Body: `{"title":"The message breaks its contract","status":422,"detail":"1 thing is wrong.","faults":[{"pointer":"/carer/nhs_number","detail":"its check digit does not fit","remedy":"look it up again"}]}`})
	ok("POST /v1/decisions", `{"decisions":[{"recipient":"pohwer","outcome":"refuse"}]}`)
	ok("GET /v1/transfers/t-1", `{"transfer_id":"t-1","recipient":"pohwer","outcome":"permit","state":"accepted"}`)
	ok("GET /v1/inbox", `{"entries":[{"transfer_id":"t-9","message_type":"referral/1","sender":"carers-in-hertfordshire","purpose":"referral.service","state":"queued","queued_at":"2026-03-02T11:00:00Z","expires_at":"2026-03-09T11:00:00Z"}],"next":"t-9"}`)
	hub.Log(t, `{"kind":"decision"}`)
	ok("POST /v1/inbox/t-9/collect", hub.Release(t, "t-9", `{"carer":{"name":{"family":"Quillfeather"}}}`))
	ok("POST /v1/transfers/t-9/receipts", `{"transfer_id":"t-9","state":"declined"}`)
	ok("POST /v1/consents", `{"consent_id":"c-1","stopped":["t-1"],"resumed":["t-2"],"log":{"origin":"o","index":3}}`)
	ok("POST /v1/disclosures/search", `{"entries":[{"at":"2026-03-02T12:00:00Z","kind":"release","sender":"carers-in-hertfordshire","recipient":"pohwer","purpose":"referral.service","outcome":"permit-reduced","items":["carer.name.family"],"log":{"origin":"o","index":3}}],"query_leaf":{"origin":"o","index":9}}`)
}
