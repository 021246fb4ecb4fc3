package api

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/mux"
	"golang.org/x/mod/sumdb/tlog"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// checkpoint is the newest signed tree head (C2SP tlog-checkpoint). It says how large the log is and nothing of what is in it.
func (s *server) checkpoint(r *http.Request, _ auth.Principal) (answer, error) {
	size, note, err := s.Source(r.Context()).Head()
	if err != nil {
		return answer{}, err
	}
	if size == 0 {
		return answer{}, &Problem{Status: http.StatusNotFound, Title: "The log is empty", Detail: "There is no checkpoint before the first leaf."}
	}
	return answer{body: note, kind: "text/plain; charset=utf-8"}, nil
}

// inclusion proves that a leaf is in the log. The leaf itself is shown to the partners it is about, so that a recipient can hold its
// disclosure against it; anybody else gets the hash.
func (s *server) inclusion(r *http.Request, by auth.Principal) (answer, error) {
	index, size, err := s.span(r, "index", "size")
	if err != nil {
		return answer{}, err
	}
	if index >= size {
		return answer{}, invalid("?index", "range", "a leaf is in a tree only when its index is below the size", "ask for a larger size, up to that of the checkpoint")
	}
	src := s.Source(r.Context())
	proof, err := s.prover.InclusionProof(src, index, size)
	if err != nil {
		return answer{}, err
	}
	leaf, err := src.Leaves(index, index+1)
	if err != nil {
		return answer{}, err
	}
	hash := tlog.RecordHash(leaf[0])
	out := map[string]any{"index": index, "size": size, "leaf_hash": base64.StdEncoding.EncodeToString(hash[:]), "proof": hashes(proof)}
	l, err := ledger.Parse(leaf[0])
	if err != nil {
		return answer{}, err
	}
	if l.Sender == by.Partner || l.Recipient == by.Partner && showsRecipient(l) {
		out["leaf"] = leaf[0]
	}
	return answer{body: out}, nil
}

// showsRecipient reports whether a recipient may read a leaf: it is about what they got, and not about what the sender and the hub weighed before.
// An old release holds that too, and a leaf cannot be shown in part: one that says of somebody what could endanger them is not shown at all, and
// its hash is proved all the same.
func showsRecipient(l *ledger.Leaf) bool {
	switch l.Kind {
	case ledger.KindRelease:
		secret := (policy.AllegedPerpetrator | policy.ParentConflict).Names()
		return !slices.ContainsFunc(l.Subjects, func(p ledger.Subject) bool {
			return slices.ContainsFunc(p.Facts, func(f string) bool { return slices.Contains(secret, f) })
		})
	case ledger.KindOutcome, ledger.KindDisclosure, ledger.KindNotice:
		return true
	}
	return false
}

func (s *server) consistency(r *http.Request, _ auth.Principal) (answer, error) {
	from, to, err := s.span(r, "from", "to")
	if err != nil {
		return answer{}, err
	}
	if from < 1 || from > to {
		return answer{}, invalid("?from", "range", "an older tree has at least one leaf and is no larger than the newer", "take both sizes from checkpoints")
	}
	proof, err := s.prover.ConsistencyProof(s.Source(r.Context()), from, to)
	if err != nil {
		return answer{}, err
	}
	return answer{body: map[string]any{"from": from, "to": to, "proof": hashes(proof)}}, nil
}

// span reads two numbers of a query, the second of which may not be past the end of the log.
func (s *server) span(r *http.Request, first, second string) (a, b int64, err error) {
	q := r.URL.Query()
	var faults []contracts.Fault
	for i, into := range []*int64{&a, &b} {
		name := []string{first, second}[i]
		if *into, err = strconv.ParseInt(q.Get(name), 10, 64); err != nil || *into < 0 {
			faults = append(faults, contracts.Fault{
				Pointer: "?" + name, Rule: "number", Detail: name + " is a number of leaves, counted from 0", Remedy: "take it from a checkpoint or a receipt",
			})
		}
	}
	if len(faults) > 0 {
		return 0, 0, &contracts.InvalidError{Faults: faults}
	}
	size, _, err := s.Source(r.Context()).Head()
	if err != nil {
		return 0, 0, err
	}
	if b > size {
		return 0, 0, invalid("?"+second, "range", "the log is not that large yet", "take the size from GET /v1/log/checkpoint")
	}
	return a, b, nil
}

func hashes(in []tlog.Hash) []string {
	out := make([]string, len(in))
	for i, h := range in {
		out[i] = base64.StdEncoding.EncodeToString(h[:])
	}
	return out
}

func (s *server) schema(r *http.Request) (answer, error) {
	kind, version, _ := strings.Cut(mux.Vars(r)["name"], ".v")
	text, ok := contracts.Schema(transfer.MessageType(kind + "/" + version))
	if !ok {
		return answer{}, &Problem{Status: http.StatusNotFound, Title: "No such schema", Detail: "The schemas are referral.v1.schema.json, consent.v1.schema.json, receipt.v1.schema.json and problem.v1.schema.json."}
	}
	return answer{body: text, kind: "application/schema+json"}, nil
}
