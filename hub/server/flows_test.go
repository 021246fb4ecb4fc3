package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"referralhub/hub/traffic"
	"referralhub/hub/transfer"
)

// Each Data Protection Lead sees what their own organisation sent and received; the operator's sees all of it.
func TestFlowsAreShownToThoseWhoseTheyAre(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		c.enrol("pohwer/dpl")
		sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
		_, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
		c.must(err)
		for id, want := range map[transfer.SystemID]int{"carers-in-hertfordshire/dpl": 1, "age-uk-hertfordshire/dpl": 1, "pohwer/dpl": 0, "hub-operator/dpl": 1} {
			a := c.ask(request{method: http.MethodGet, path: "/v1/flows", token: c.token(id)})
			var m traffic.Map
			if err := json.Unmarshal(a.body, &m); err != nil || a.status != http.StatusOK || len(m.Flows) != want {
				t.Fatalf("%s is answered %d, %s", id, a.status, a.body)
			}
			for _, f := range m.Flows {
				if f.Sender != carersInHerts || f.Recipient != ageUKHerts || f.Clause != "hertswise@1#refer" || f.Disclosures != 1 || f.Undeclared != "" {
					t.Errorf("%s sees %+v", id, f)
				}
			}
			for _, p := range m.Unused {
				if id == "pohwer/dpl" && p.Sender != pohwer && p.Recipient != pohwer {
					t.Errorf("PoHWER sees what others do not send: %v", p)
				}
			}
		}
		if a := c.ask(request{method: http.MethodGet, path: "/v1/flows?to=2026-01-01", token: c.token("hub-operator/dpl")}); !bytes.Contains(a.body, []byte(`"flows":[]`)) {
			t.Errorf("before anything went: %d, %s", a.status, a.body)
		}
		if a := c.ask(request{method: http.MethodGet, path: "/v1/flows", token: c.token("carers-in-hertfordshire/casework")}); a.status != http.StatusForbidden {
			t.Errorf("a caseworker's system is answered %d", a.status)
		}
	})
}
