package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"referralhub/hub/transfer"
)

// DeclaredAgreement is a version of an agreement that we are a party to, as it stands.
type DeclaredAgreement struct {
	ID            transfer.AgreementID `json:"agreement"`
	Version       int                  `json:"version"`
	Title         string               `json:"title"`
	Digest        string               `json:"digest"`   // of its file: sha256 and hex
	Status        string               `json:"status"`   // "active", "suspended", ...
	Standing      string               `json:"standing"` // whether it may carry data now: "in-force", "stopped", ...
	Lead          transfer.PartnerID   `json:"lead"`
	EffectiveFrom time.Time            `json:"effective_from,omitzero"`
	Until         time.Time            `json:"until,omitzero"`
	ReviewBy      time.Time            `json:"review_by,omitzero"`
	SuspendedBy   []transfer.PartnerID `json:"suspended_by,omitempty"`
	Signatures    []AgreementSignature `json:"signatures"`
	Explained     string               `json:"explained,omitempty"` // in plain English; of one version alone
}

// AgreementSignature is a party's; At is zero until its key has signed this text.
type AgreementSignature struct {
	Party transfer.PartnerID `json:"party"`
	At    time.Time          `json:"at,omitzero"`
}

// AgreementAct is what a named person of ours does about a version.
type AgreementAct struct {
	Contract string    `json:"contract"`
	Act      string    `json:"act"`    // "activate", "suspend", "resume" or "retire"
	Person   string    `json:"person"` // by the id of our register entry
	Ground   string    `json:"ground"`
	At       time.Time `json:"at"`
}

// AgreementActed is how a version stands after an act or a signature.
type AgreementActed struct {
	ID      transfer.AgreementID `json:"agreement"`
	Version int                  `json:"version"`
	Digest  string               `json:"digest"`
	Status  string               `json:"status"`
	Log     LogRef               `json:"log"`
}

// Agreements lists the versions that we are a party to.
func (c *Client) Agreements(ctx context.Context) ([]DeclaredAgreement, error) {
	var out struct {
		Agreements []DeclaredAgreement `json:"agreements"`
	}
	_, err := c.into(ctx, http.MethodGet, "/v1/agreements", nil, &out)
	return out.Agreements, err
}

func versionPath(id transfer.AgreementID, version int) string {
	return fmt.Sprintf("/v1/agreements/%s/versions/%d", id, version)
}

// Agreement reads one version, explained.
func (c *Client) Agreement(ctx context.Context, id transfer.AgreementID, version int) (DeclaredAgreement, error) {
	var out DeclaredAgreement
	_, err := c.into(ctx, http.MethodGet, versionPath(id, version), nil, &out)
	return out, err
}

// Act hands in what somebody of ours does about a version. The same again has no further effect.
func (c *Client) Act(ctx context.Context, id transfer.AgreementID, version int, act AgreementAct) (AgreementActed, error) {
	act.Contract = "agreement-act/1"
	return c.acted(ctx, versionPath(id, version)+"/acts", act)
}

// Sign signs the text of a version, by its digest, with our key. Whoever calls it has read that text.
func (c *Client) Sign(ctx context.Context, id transfer.AgreementID, version int, digest string) (AgreementActed, error) {
	jws, err := c.cfg.Key.Sign("agreement+jws", jwt.MapClaims{"agreement": id, "version": version, "digest": digest})
	if err != nil {
		return AgreementActed{}, err
	}
	return c.acted(ctx, versionPath(id, version)+"/signatures", map[string]string{"signature": jws})
}

func (c *Client) acted(ctx context.Context, path string, in any) (AgreementActed, error) {
	var out AgreementActed
	body, err := json.Marshal(in)
	if err == nil {
		_, err = c.into(ctx, http.MethodPost, path, body, &out)
	}
	return out, err
}
