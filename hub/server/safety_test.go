package server_test

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"referralhub/cmd/partner/client"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// hidden is Maureen's referral with a home that must not be found.
func (c *county) hidden(id string, change ...func(referral)) referral {
	c.Helper()
	return c.example("adult-carer-hertswise").with(id, append(change, at("carer.address_protected", true))...)
}

// Where somebody lives who must not be found is in more places than her address: her husband's, her surgery's, the note on how to find the
// door. She has agreed to all of it, the agreement lists it, and none of it goes.
func TestNothingLeadsToHerWhoseAddressIsProtected(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		m := c.hidden("protected")
		sent := c.send(carersInHerts, m, transfer.PermitReduced)
		got, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
		c.must(err)
		for _, lead := range []string{
			"Quill Lane", "SG14", "100080999118", "St Swithun", "Church Path", "SG12", "01632 960417", "07700 900417", "mo.obrien", "archway", "day centre",
			"07700 900418", "Z99001", "960555",
		} {
			if !bytes.Contains(m.bytes(), []byte(lead)) {
				t.Fatalf("%s is not in the referral", lead)
			}
			if bytes.Contains(got.Dataset, []byte(lead)) {
				t.Errorf("%s leads to her, and Age UK has it", lead)
			}
		}
		t.Logf("%s", got.Dataset)
	})
}

var _ = slices.Contains[[]string]
var _ = http.StatusOK
var _ client.Ruling
var _ policy.Code
