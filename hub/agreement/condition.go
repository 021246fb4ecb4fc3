package agreement

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// Condition is the when: of a clause. It does not change, and is safe for concurrent use.
type Condition struct {
	Source    string // as written; the log names the condition by it
	Otherwise string // what a caseworker is told when it does not hold

	words    string // the source in plain English
	program  cel.Program
	message  transfer.MessageType // it reads no other
	sections map[string]*shape
}

// maxConditionCost bounds what a condition may cost, in the units of CEL: about one for each step and each ten characters compared.
const maxConditionCost = 2_000

// Eval says whether the condition holds for a message, and whether that can be told. It cannot where the condition asks for what the message
// does not have, and for a message of another type. It reads no more of the message than it has to.
func (c *Condition) Eval(doc *contracts.Document, sender, recipient transfer.PartnerID) (holds, known bool) {
	if c.program == nil || doc.Contract == nil || doc.Contract.Type != c.message {
		return false, false
	}
	result, _, err := c.program.Eval(&asked{c, doc, sender, recipient})
	if err != nil {
		return false, false
	}
	b, known := result.(types.Bool)
	return bool(b), known
}

// asked gives a condition the variables that it names.
type asked struct {
	condition         *Condition
	doc               *contracts.Document
	sender, recipient transfer.PartnerID
}

// The words that a condition may use besides the sections of the message.
const (
	wordPurpose   = "purpose"
	wordService   = "service"
	wordSender    = "sender"
	wordRecipient = "recipient"
)

// ResolveName is part of cel.Activation. A section that the message does not have is one in which nothing is said, and a list of nobody.
func (a *asked) ResolveName(name string) (any, bool) {
	switch name {
	case wordPurpose:
		return types.String(a.doc.Envelope.Purpose), true
	case wordService:
		return types.String(a.doc.Envelope.Service), true
	case wordSender:
		return types.String(a.sender), true
	case wordRecipient:
		return types.String(a.recipient), true
	}
	s, ok := a.condition.sections[name]
	if !ok {
		return nil, false
	}
	raw, _ := a.doc.Section(name)
	v, err := s.read(raw)
	if err != nil {
		return types.WrapErr(err), true
	}
	return v, true
}

// Parent is part of cel.Activation.
func (a *asked) Parent() cel.Activation { return nil }

var _ ref.Val = (*value)(nil)
