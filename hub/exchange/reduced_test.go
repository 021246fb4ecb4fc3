package exchange_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"referralhub/hub/exchange"
	"referralhub/hub/transfer"
)

// While a referral waits, its clause comes to ask for the year of birth alone. The dataset was cut when the whole birthday might go; what leaves is
// reduced as the clause of now wants it, also when it is collected again.
func TestWhatWaitsIsReducedAsTheClauseOfNowWants(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		stricter := register(t, func(file, text string) string {
			if !strings.HasPrefix(file, "hertswise") {
				return text
			}
			text = strings.Replace(text, "        - carer.date_of_birth\n", "", 1)
			return strings.Replace(text, "carer.case_number: pseudonym", "carer.case_number: pseudonym\n        carer.date_of_birth: year", 1)
		})
		before := h.open()
		id := before.send(h.message("m-1", h.somebody()), transfer.Queued).ID
		if born := carerOf(t, before, id)["date_of_birth"]; born != "1951-03-17" {
			t.Fatalf("at first it goes as %v", born)
		}
		pseudonym := carerOf(t, before, id)["case_number"]
		before.end()

		after := h.open(func(cfg *exchange.Config) { cfg.Index = stricter })
		for range 2 {
			carer := carerOf(t, after, id)
			if carer["date_of_birth"] != "1951" || carer["case_number"] != pseudonym {
				t.Errorf("it goes as %v, %v; want the year alone, and the pseudonym %v once", carer["date_of_birth"], carer["case_number"], pseudonym)
			}
		}
	})
}

func carerOf(t *testing.T, u *hub, id transfer.TransferID) map[string]any {
	t.Helper()
	parcel, err := u.Collect(context.Background(), by(ageUKHerts), id)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Carer map[string]any `json:"carer"`
	}
	if err := json.Unmarshal(parcel.Dataset(), &got); err != nil {
		t.Fatal(err)
	}
	return got.Carer
}
