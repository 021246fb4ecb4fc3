package agreement

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"

	"referralhub/contracts"
)

// language is what the conditions of one contract are written in.
type language struct {
	env   *cel.Env
	names map[string]*shape // the variables: sections and words
	parts map[string]*shape // the sections alone
}

// language gives the language of a contract's conditions, which costs a while to make.
func (c *compiler) language(contract *contracts.Contract) (*language, error) {
	if l, made := c.languages[contract]; made {
		return l, nil
	}
	schema, ok := contracts.Schema(contract.Type)
	if !ok {
		return nil, fmt.Errorf("%s has no schema", contract.Type)
	}
	parts, err := sections(schema)
	if err != nil {
		return nil, err
	}
	l := &language{parts: parts, names: map[string]*shape{
		wordPurpose:   {path: wordPurpose, typ: cel.StringType, words: purposes, size: shortText},
		wordService:   {path: wordService, typ: cel.StringType, size: shortText},
		wordSender:    {path: wordSender, typ: cel.StringType, words: names(c.partners), size: shortText},
		wordRecipient: {path: wordRecipient, typ: cel.StringType, words: names(c.partners), size: shortText},
	}}
	options := []cel.EnvOption{cel.StdLib(), cel.EnableMacroCallTracking(), cel.CustomTypeProvider(newShapes(parts))}
	for name, s := range parts {
		l.names[name] = s
	}
	for name, s := range l.names {
		options = append(options, cel.Variable(name, s.typ))
	}
	l.env, err = cel.NewCustomEnv(options...)
	if err != nil {
		return nil, err
	}
	c.languages[contract] = l
	return l, nil
}

// shapeOf gives the shape of an item; nil when its contract does not tell.
func (c *compiler) shapeOf(contract *contracts.Contract, item contracts.Item) *shape {
	l, err := c.language(contract)
	if err != nil {
		return nil
	}
	path := strings.Split(item.Name, ".")
	s := l.parts[path[0]]
	for _, name := range path[1:] {
		if s != nil && s.element != nil {
			s = s.element
		}
		if s != nil {
			s = s.members[name]
		}
	}
	return s
}

// condition compiles the when: of a clause for one contract.
func (c *compiler) condition(e *flowEntry, contract *contracts.Contract) *Condition {
	l, err := c.language(contract)
	if err != nil {
		c.fault(e.When.place, "condition", "Ask whoever runs the hub.", "conditions on %s cannot be read: %s", contract.Type, err)
		return nil
	}
	w := &whenCheck{compiler: c, language: l, text: e.When}
	ast := w.compile()
	if ast == nil {
		return nil
	}
	program, err := l.env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxConditionCost))
	if err != nil {
		w.fault(0, "condition", "Write it another way.", "it cannot be run: %s", err)
		return nil
	}
	w.constant(ast)
	return &Condition{
		Source: e.When.value, Otherwise: e.Otherwise.value, words: inWords(ast.NativeRep()), program: program, message: contract.Type, sections: l.parts,
	}
}

// whenCheck is the check of one condition.
type whenCheck struct {
	*compiler
	*language
	text   text
	info   *celast.SourceInfo
	failed bool
}

// compile parses the condition and checks it: its types, what it asks for, and what it costs. It gives nil when there was a fault.
func (w *whenCheck) compile() *cel.Ast {
	parsed, issues := w.env.Parse(w.text.value)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			w.faultAt(e.Location, "condition", "Write an expression of CEL that comes to true or false.", firstLine(e.Message))
		}
		return nil
	}
	w.info = parsed.NativeRep().SourceInfo()
	checked, issues := w.env.Check(parsed)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			w.unchecked(parsed.NativeRep().Expr(), e)
		}
		return nil
	}
	root := checked.NativeRep().Expr()
	if checked.OutputType() != cel.BoolType {
		w.fault(root.ID(), "condition", "Compare it with something.", "it comes to a %s, not to true or false", checked.OutputType())
		return nil
	}
	w.look(root, w.names)
	cost, err := w.env.EstimateCost(checked, w)
	if err != nil || cost.Max > maxConditionCost {
		w.fault(root.ID(), "condition-cost", "Ask less of it: it goes through lists inside lists.",
			"it may cost %d steps for one message, and %d are allowed", cost.Max, maxConditionCost)
	}
	if w.failed {
		return nil
	}
	return checked
}

var overload = regexp.MustCompile(`^found no matching overload for '(.+)' applied to '\(?(.*?)\)?'$`)

// unchecked reports what the checker has found, in the words of whoever knows the contract.
func (w *whenCheck) unchecked(root celast.Expr, e *common.Error) {
	detail, remedy := firstLine(e.Message), "Write it with the names and types of the contract."
	detail, _, _ = strings.Cut(detail, " (in container")
	if m := overload.FindStringSubmatch(detail); m != nil {
		symbol, ok := operators.FindReverse(m[1])
		if !ok {
			symbol = m[1]
		}
		detail = fmt.Sprintf("%q does not go with %s", cmp.Or(symbol, m[1]), m[2])
	}
	celast.PostOrderVisit(root, celast.NewExprVisitor(func(x celast.Expr) {
		switch {
		case x.ID() != e.ExprID:
		case x.Kind() == celast.IdentKind:
			detail = fmt.Sprintf("nothing is called %q", x.AsIdent())
			remedy = orSuggest(x.AsIdent(), names(w.names), "There are "+strings.Join(names(w.names), ", ")+".")
		case x.Kind() == celast.SelectKind:
			s := w.shapeOf(x.AsSelect().Operand(), w.names)
			if s != nil && s.members != nil && s.members[x.AsSelect().FieldName()] == nil {
				detail = fmt.Sprintf("%s has no %q", s.path, x.AsSelect().FieldName())
				remedy = orSuggest(x.AsSelect().FieldName(), names(s.members), "It has "+strings.Join(names(s.members), ", ")+".")
			}
			if s != nil && s.element != nil {
				detail = fmt.Sprintf("%s is a list, and has no %q", s.path, x.AsSelect().FieldName())
				remedy = "Ask of its entries, as in cared_for.exists(p, p.lives_with_carer)."
			}
		}
	}))
	w.faultAt(e.Location, "condition", remedy, detail)
}

// look goes through an expression and finds what a condition must not ask for, and words that are never said. The scope has the shapes of the
// variables that stand here. Whatever is not a path into the message is gone through to its parts, so that nothing of a message is used unseen.
func (w *whenCheck) look(x celast.Expr, scope map[string]*shape) {
	if s := w.shapeOf(x, scope); s != nil {
		why := s.asks()
		if x.Kind() == celast.SelectKind && x.AsSelect().IsTestOnly() {
			why = s.closed
		}
		if why != "" {
			w.ask(x, s, why)
		}
		w.indexes(x, scope)
		return
	}
	switch x.Kind() {
	case celast.SelectKind:
		w.look(x.AsSelect().Operand(), scope)
	case celast.CallKind:
		w.call(x, scope)
	case celast.ListKind:
		for _, entry := range x.AsList().Elements() {
			w.look(entry, scope)
		}
	case celast.MapKind:
		for _, entry := range x.AsMap().Entries() {
			w.look(entry.AsMapEntry().Key(), scope)
			w.look(entry.AsMapEntry().Value(), scope)
		}
	case celast.StructKind:
		for _, field := range x.AsStruct().Fields() {
			w.look(field.AsStructField().Value(), scope)
		}
	case celast.ComprehensionKind:
		w.comprehension(x, scope)
	}
}

// indexes looks at what stands in the brackets of a path.
func (w *whenCheck) indexes(path celast.Expr, scope map[string]*shape) {
	switch path.Kind() {
	case celast.SelectKind:
		w.indexes(path.AsSelect().Operand(), scope)
	case celast.CallKind:
		w.indexes(path.AsCall().Args()[0], scope)
		w.look(path.AsCall().Args()[1], scope)
	}
}

func (w *whenCheck) call(x celast.Expr, scope map[string]*shape) {
	call := x.AsCall()
	args := slices.Clone(call.Args())
	if call.IsMemberFunction() {
		args = append(args, call.Target())
	}
	for _, arg := range args {
		if s := w.shapeOf(arg, scope); call.FunctionName() == "size" && s != nil && s.element != nil && s.closed == "" {
			w.indexes(arg, scope) // how many there are tells nothing of what they are
			continue
		}
		w.look(arg, scope)
	}
	switch call.FunctionName() {
	case operators.Equals, operators.NotEquals, operators.In:
		w.word(args[0], args[1], scope)
		w.word(args[1], args[0], scope)
	}
}

// comprehension looks into exists, all and their like: the variable is an entry of the list that is gone through.
func (w *whenCheck) comprehension(x celast.Expr, scope map[string]*shape) {
	c := x.AsComprehension()
	inner := make(map[string]*shape, len(scope)+1)
	for name, s := range scope {
		inner[name] = s
	}
	delete(inner, c.IterVar())
	if list := w.shapeOf(c.IterRange(), scope); list != nil && list.closed == "" {
		inner[c.IterVar()] = list.element
		w.indexes(c.IterRange(), scope)
	} else {
		w.look(c.IterRange(), scope)
	}
	delete(inner, c.AccuVar())
	for _, part := range []celast.Expr{c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()} {
		w.look(part, inner)
	}
}

// shapeOf follows an expression that is a path into the message; nil when it is something else.
func (w *whenCheck) shapeOf(x celast.Expr, scope map[string]*shape) *shape {
	switch x.Kind() {
	case celast.IdentKind:
		return scope[x.AsIdent()]
	case celast.SelectKind:
		if s := w.shapeOf(x.AsSelect().Operand(), scope); s != nil {
			return s.members[x.AsSelect().FieldName()]
		}
	case celast.CallKind:
		if call := x.AsCall(); call.FunctionName() == operators.Index {
			if s := w.shapeOf(call.Args()[0], scope); s != nil {
				return s.element
			}
		}
	}
	return nil
}

func (w *whenCheck) ask(x celast.Expr, s *shape, why string) {
	w.fault(x.ID(), "condition-item", "Ask for a word that the contract lists, a number, a day, or whether something is true.",
		"%s is %s, and no condition may turn on it", s.path, why)
}

// word finds a word that the place it is compared with can never hold.
func (w *whenCheck) word(place, literal celast.Expr, scope map[string]*shape) {
	s := w.shapeOf(place, scope)
	if s != nil && s.element != nil {
		s = s.element
	}
	if s == nil || s.words == nil {
		return
	}
	literals := []celast.Expr{literal}
	if literal.Kind() == celast.ListKind {
		literals = literal.AsList().Elements()
	}
	for _, l := range literals {
		if l.Kind() != celast.LiteralKind {
			continue
		}
		word, ok := l.AsLiteral().Value().(string)
		if ok && !slices.Contains(s.words, word) {
			w.fault(l.ID(), "condition-word", orSuggest(word, s.words, "It is one of "+strings.Join(s.words, ", ")+"."),
				"%s is never %q", s.path, word)
		}
	}
}

// constant finds a condition whose result is known before any message is.
func (w *whenCheck) constant(ast *cel.Ast) {
	var unknown []*interpreter.AttributePattern
	for name := range w.names {
		unknown = append(unknown, cel.AttributePattern(name))
	}
	vars, err := cel.PartialVars(map[string]any{}, unknown...)
	if err != nil {
		return
	}
	partial, err := w.env.Program(ast, cel.EvalOptions(cel.OptPartialEval))
	if err != nil {
		return
	}
	result, _, err := partial.Eval(vars)
	switch {
	case result == types.False:
		w.fault(0, "unusable", "Correct it, or take the clause out.", "it never holds, so nothing can ever go under this clause")
	case result == types.True:
		w.warn(w.text.place, "condition-constant", "Leave it out.", "it always holds")
	case err != nil:
		w.fault(0, "unusable", "Correct it.", "it can never be told whether it holds: %s", firstLine(err.Error()))
	}
}

// EstimateSize is part of checker.CostEstimator.
func (w *whenCheck) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	path := node.Path()
	if len(path) == 0 {
		return nil
	}
	if s := w.names[path[0]].at(path[1:]); s != nil {
		return &checker.SizeEstimate{Max: s.size}
	}
	return nil
}

// EstimateCallCost is part of checker.CostEstimator.
func (w *whenCheck) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// fault reports something at an expression of the condition; with id 0, of all of it.
func (w *whenCheck) fault(id int64, rule, remedy, detail string, args ...any) {
	at := common.NewLocation(1, 0)
	if id != 0 {
		if start := w.info.GetStartLocation(id); start.Line() > 0 {
			at = start
		}
	}
	w.faultAt(at, rule, remedy, fmt.Sprintf(detail, args...))
}

func (w *whenCheck) faultAt(at common.Location, rule, remedy, detail string) {
	w.failed = true
	line, column := at.Line(), at.Column()
	if lines := strings.Split(w.text.value, "\n"); line < 1 || line > len(lines) {
		line, column = 1, 0 // of all of it
	} else if text := []rune(lines[line-1]); column < len(text) && text[max(column, 0)] == '.' {
		column++ // a member is what stands after its dot
	}
	w.compiler.fault(w.inside(w.text, line, column), rule, remedy, "%s", detail)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
