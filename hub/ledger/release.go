package ledger

import "referralhub/hub/transfer"

// Release is the leaf that stands directly behind a decision which lets a dataset go: what its recipient may read of that decision, and the
// digest of the dataset. Nobody's circumstances are in it, nothing that was stripped, no reason, and nobody of whom nothing goes: the
// recipient gets this leaf as evidence, and a leaf cannot be shown in part. What was weighed stays in the decision.
func (l *Leaf) Release(payload string) *Leaf {
	out := &Leaf{
		Kind: KindRelease, At: l.At, Actor: l.Actor, Transfer: l.Transfer, Sender: l.Sender, Recipient: l.Recipient, Type: l.Type,
		Purpose: l.Purpose, Service: l.Service, Outcome: l.Outcome, State: transfer.Released, Agreement: l.Agreement, Payload: payload,
		Expires: l.Expires, Subjects: make([]Subject, 0, len(l.Subjects)),
	}
	for i := range l.Subjects {
		if s := &l.Subjects[i]; len(s.Items) > 0 {
			out.Subjects = append(out.Subjects, Subject{
				Role: s.Role, Position: s.Position, Commitment: s.Commitment, Items: s.Items, Consents: s.Consents, Consent: s.Consent,
			})
		}
	}
	for _, o := range l.Obligations {
		if o.Who != "sender" {
			out.Obligations = append(out.Obligations, o)
		}
	}
	return out
}

// ForRelease reports whether l is a decision that was made for a release: the leaf directly behind it. It is known by having no state, because
// it leaves its transfer as it is. What it weighed is between the sender and the hub, and no recipient is shown it.
func (l *Leaf) ForRelease() bool { return l.Kind == KindDecision && l.State == "" }

// RestsOn reports whether l is the release for which the leaf directly before it was decided. A release that rests on no leaf holds itself
// what was weighed: the first logs have such.
func (l *Leaf) RestsOn(before *Leaf) bool {
	return before != nil && l.Kind == KindRelease && before.ForRelease() && l.Transfer == before.Transfer && l.At.Equal(before.At)
}
