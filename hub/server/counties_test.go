package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"referralhub/cmd/partner/client"
	"referralhub/hub/transfer"
)

// What has to do with a funder is figures: small counts are suppressed, the others rounded, and of nobody can anything be told.
func TestAFunderGetsFiguresAndNobodysData(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		sent := c.send(carersInHerts, c.example("aggregate-quarter").with("figures", to(council)), transfer.Permit)
		if sent.Agreement == nil || sent.Agreement.Flow != "funder-returns@1#return" {
			t.Errorf("decided under %+v", sent.Agreement)
		}
		got, err := c.as(council).Collect(t.Context(), sent.ID)
		c.must(err)
		c.must(got.CheckDigest())
		var figures struct {
			Report struct {
				Measures []struct {
					Name       string
					Dimensions map[string]string
					Count      any
				}
			}
		}
		c.must(json.Unmarshal(got.Dataset, &figures))
		suppressed := 0
		for _, m := range figures.Report.Measures {
			switch n, shown := m.Count.(float64); {
			case m.Count == "suppressed":
				suppressed++
			case !shown || n < 0 || int(n)%5 != 0:
				t.Errorf("%s %v: %v left", m.Name, m.Dimensions, m.Count)
			}
		}
		if all := figures.Report.Measures; len(all) != 24 || suppressed < 3 || all[0].Count != 1285.0 || all[4].Count != "suppressed" || all[23].Count != "suppressed" {
			t.Errorf("%d suppressed: %+v", suppressed, all)
		}
		_, err = c.as(council).Receipt(t.Context(), sent.ID, "received", "")
		c.must(err)

		// The log has what went, about nobody, and the Data Protection Lead finds it by the transfer.
		found, err := c.as("hub-operator/dpl").Search(t.Context(), client.Query{TransferID: sent.ID, Why: "what did the council get"})
		c.must(err)
		if !slices.ContainsFunc(found.Entries, func(e client.Entry) bool {
			return e.Kind == "release" && e.Recipient == council && slices.Equal(e.Items, []string{"report.title", "report.period", "report.measures"})
		}) {
			t.Errorf("the log has %+v", found.Entries)
		}
		// People's data is not to be had for the same purpose.
		refused := c.send(carersInHerts, c.example("adult-carer-hertswise").with("people", to(council), at("purpose", "contract-monitoring"), without("service")), transfer.Refuse)
		_, err = c.as(council).Collect(t.Context(), refused.ID)
		c.problem(err, http.StatusConflict)
		if report := c.audited(); report.Releases != 1 {
			t.Errorf("%d releases", report.Releases)
		}
	})
}

// A social worker of the council refers a carer in Kent, on the council's own powers and with what she was told.
func TestAReferralIsCarriedInKent(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		const csek = transfer.PartnerID("carers-support-east-kent")
		told := func(m referral) {
			u := m["undertaking"].(map[string]any)
			u["basis"], u["informed_on"] = "public-task", "2026-11-19"
		}
		m := c.example("adult-carer-hertswise").with("kent", whose(joan), to(csek), told, without("service", "consents"))
		sent := c.send(kent, m, transfer.PermitReduced)
		if sent.Agreement == nil || sent.Agreement.Flow != "csek-referrals-in@1#public" {
			t.Errorf("decided under %+v", sent.Agreement)
		}
		got, err := c.as(csek).Collect(t.Context(), sent.ID)
		c.must(err)
		c.must(got.CheckDigest())
		if b := got.LawfulBasis; b.Article6 != "e" || b.Article9 != "h" || len(got.Consents) != 0 {
			t.Errorf("Carers' Support East Kent is told that it rests on %+v and the consents %v", b, got.Consents)
		}
		_, err = c.as(csek).Receipt(t.Context(), sent.ID, "accepted", "")
		c.must(err)

		// No agreement reaches across the counties, and no partner sees what another's is.
		m = c.example("adult-carer-hertswise").with("across", whose(joan), to(ageUKHerts), told, without("service", "consents"))
		refused := c.send(kent, m, transfer.Refuse)
		if len(refused.Reasons) != 1 || refused.Reasons[0].Code != "NO_AGREEMENT" {
			t.Errorf("across the counties: %v", refused.Reasons)
		}
		_, err = c.as(carersInHerts).Transfer(t.Context(), sent.ID)
		c.problem(err, http.StatusNotFound)
		c.audited()
	})
}
