package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/transfer"
)

type declaredJSON struct {
	ID            transfer.AgreementID `json:"agreement"`
	Version       int                  `json:"version"`
	Title         string               `json:"title"`
	Digest        string               `json:"digest"`
	Status        string               `json:"status"`
	Standing      string               `json:"standing"`
	Lead          transfer.PartnerID   `json:"lead"`
	EffectiveFrom time.Time            `json:"effective_from,omitzero"`
	Until         time.Time            `json:"until,omitzero"`
	ReviewBy      time.Time            `json:"review_by,omitzero"`
	SuspendedBy   []transfer.PartnerID `json:"suspended_by,omitempty"`
	Signatures    []signatureJSON      `json:"signatures"`
	Explained     string               `json:"explained,omitempty"`
}

type signatureJSON struct {
	Party transfer.PartnerID `json:"party"`
	At    time.Time          `json:"at,omitzero"` // absent until its key has signed
}

func declaredOf(d exchange.Declared) declaredJSON {
	out := declaredJSON{
		ID: d.ID, Version: d.Version, Title: d.Title, Digest: d.Digest, Status: string(d.Status), Standing: string(d.Standing), Lead: d.Lead,
		EffectiveFrom: d.Starts, Until: d.Ends, ReviewBy: d.ReviewBy, SuspendedBy: d.SuspendedBy, Explained: d.Explained,
		Signatures: []signatureJSON{},
	}
	for _, p := range d.Parties {
		out.Signatures = append(out.Signatures, signatureJSON{p.Partner, d.SignedAt[p.Partner]})
	}
	return out
}

// agreements lists the versions of the agreements that the asker is a party to.
func (s *server) agreements(r *http.Request, by auth.Principal) (answer, error) {
	all, err := s.Exchange.Agreements(r.Context(), by)
	if err != nil {
		return answer{}, err
	}
	return answer{body: map[string]any{
		"agreements": lo.Map(all, func(d exchange.Declared, _ int) declaredJSON { return declaredOf(d) }),
	}}, nil
}

// agreement explains one version.
func (s *server) agreement(r *http.Request, by auth.Principal) (answer, error) {
	id, version, err := versionIn(r)
	if err != nil {
		return answer{}, err
	}
	d, err := s.Exchange.Agreement(r.Context(), by, id, version)
	if err != nil {
		return answer{}, agreementProblem(err)
	}
	return answer{body: declaredOf(d)}, nil
}

// versionIn is the version that the path names. What cannot be one is answered as one that does not exist.
func versionIn(r *http.Request) (transfer.AgreementID, int, error) {
	vars := mux.Vars(r)
	version, err := strconv.Atoi(vars["version"])
	if err != nil || strconv.Itoa(version) != vars["version"] {
		return "", 0, agreementProblem(exchange.ErrNoAgreement)
	}
	return transfer.AgreementID(vars["agreement"]), version, nil
}

// actOn takes what a named person does about a version of an agreement.
func (s *server) actOn(r *http.Request, by auth.Principal) (answer, error) {
	id, version, err := versionIn(r)
	if err != nil {
		return answer{}, err
	}
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	deed, err := s.deed(body)
	if err != nil {
		return answer{}, err
	}
	done, err := s.Exchange.Act(r.Context(), by, id, version, deed)
	if err != nil {
		return answer{}, agreementProblem(err)
	}
	return acted(id, version, done), nil
}

// deed reads an act and checks what its contract cannot.
func (s *server) deed(body []byte) (exchange.Deed, error) {
	if err := check("agreement-act/1", body); err != nil {
		return exchange.Deed{}, err
	}
	var in struct {
		Contract string                `json:"contract"`
		Act      exchange.AgreementAct `json:"act"`
		Person   string                `json:"person"`
		Ground   string                `json:"ground"`
		At       time.Time             `json:"at"`
	}
	if err := decode(body, &in); err != nil {
		return exchange.Deed{}, err
	}
	var faults []contracts.Fault
	if codes := in.Act.Grounds(); !slices.Contains(codes, in.Ground) {
		faults = append(faults, contracts.Fault{
			Pointer: "/ground", Rule: "contradiction", Detail: "this is no ground to " + string(in.Act), Remedy: "give one of " + strings.Join(codes, ", "),
		})
	}
	if in.At.After(s.Now().Add(clockSkew)) {
		faults = append(faults, future("/at"))
	}
	if len(faults) > 0 {
		return exchange.Deed{}, &contracts.InvalidError{Faults: faults}
	}
	return exchange.Deed{Do: in.Act, Person: in.Person, Ground: in.Ground, At: in.At.UTC()}, nil
}

// signature takes a party's signature under a version.
func (s *server) signature(r *http.Request, by auth.Principal) (answer, error) {
	id, version, err := versionIn(r)
	if err != nil {
		return answer{}, err
	}
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	var in struct {
		Signature string `json:"signature"`
	}
	if err := decode(body, &in); err != nil {
		return answer{}, err
	}
	if in.Signature == "" {
		return answer{}, invalid("/signature", "required", "there is no signature here", signatureRemedy)
	}
	done, err := s.Exchange.Sign(r.Context(), by, id, version, in.Signature, func(kid string) (exchange.SigningKey, bool) {
		public, algorithms, known := s.Clients.PublicKey(by.Partner, kid)
		return exchange.SigningKey{Partner: by.Partner, Algorithms: algorithms, Public: public}, known
	})
	if err != nil {
		return answer{}, agreementProblem(err)
	}
	return acted(id, version, done), nil
}

const signatureRemedy = "sign the agreement, version and digest that GET /v1/agreements gives, with a registered key of a system of yours: partner sign does it"

func acted(id transfer.AgreementID, version int, done exchange.Acted) answer {
	status := http.StatusCreated
	if done.Repeat {
		status = http.StatusOK
	}
	return answer{status: status, body: map[string]any{
		"agreement": id, "version": version, "digest": done.Digest, "status": done.Status, "log": logRef{Origin: done.Origin, Index: done.Leaf},
	}}
}

// agreementProblem says what was wrong with what was asked of an agreement. Other errors are left as they are.
func agreementProblem(err error) error {
	var (
		role      *exchange.RoleError
		act       *exchange.ActError
		signature *exchange.SignatureError
	)
	switch {
	case errors.Is(err, exchange.ErrNoAgreement):
		return &Problem{Status: http.StatusNotFound, Title: "No such agreement", Detail: "You are a party to no agreement of this id and version. GET /v1/agreements lists yours."}
	case errors.As(err, &role):
		return &Problem{Status: http.StatusForbidden, Title: "Not theirs to decide", Detail: role.Detail}
	case errors.As(err, &act):
		return &Problem{Status: http.StatusConflict, Title: "Not as the agreement stands", Detail: fmt.Sprintf("%s Nothing was changed.", act.Detail)}
	case errors.As(err, &signature):
		return invalid("/signature", "signature", signature.Detail, signatureRemedy)
	}
	return err
}
