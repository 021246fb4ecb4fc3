package agreement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// inWords says a condition in plain English: `advocacy.type in ["imca", "imha"]` becomes "advocacy type is imca or imha". Whoever prints
// it shows the source as well.
func inWords(condition *ast.AST) string {
	w := wording{condition.SourceInfo(), make(map[string]bool)}
	return w.claim(condition.Expr(), false)
}

// unspoken stands for what there are no words for.
const unspoken = "(see the source)"

type wording struct {
	info *ast.SourceInfo
	each map[string]bool // the variables that stand for an entry of a list
}

var comparisons = map[string]string{
	operators.Less: "is below", operators.LessEquals: "is at most", operators.Greater: "is above", operators.GreaterEquals: "is at least",
	operators.Equals: "is", operators.NotEquals: "is not",
}

// claim says what is true or false. Inside another claim, what joins several is put in brackets.
func (w wording) claim(x ast.Expr, inside bool) string {
	if written, isMacro := w.info.GetMacroCall(x.ID()); isMacro {
		return w.macro(written.AsCall())
	}
	if x.Kind() != ast.CallKind {
		return w.say(x) + " is true"
	}
	switch name := x.AsCall().FunctionName(); name {
	case operators.LogicalAnd, operators.LogicalOr:
		claims := w.joined(x, name)
		joint := " or "
		if name == operators.LogicalAnd {
			claims, joint = withoutSaid(claims), " and "
		}
		said := strings.Join(claims, joint)
		if inside && len(claims) > 1 {
			return "(" + said + ")"
		}
		return said
	case operators.LogicalNot:
		claim := w.claim(x.AsCall().Args()[0], true)
		for _, end := range []string{" is said", " is true"} {
			if what, ok := strings.CutSuffix(claim, end); ok && !strings.HasPrefix(claim, "(") {
				return what + strings.Replace(end, "is", "is not", 1)
			}
		}
		return "it is not the case that " + claim
	}
	return w.say(x)
}

// joined gives the claims that one operator joins, however they are bracketed.
func (w wording) joined(x ast.Expr, operator string) []string {
	_, isMacro := w.info.GetMacroCall(x.ID())
	if isMacro || x.Kind() != ast.CallKind || x.AsCall().FunctionName() != operator {
		return []string{w.claim(x, true)}
	}
	var claims []string
	for _, arg := range x.AsCall().Args() {
		claims = append(claims, w.joined(arg, operator)...)
	}
	return claims
}

// withoutSaid leaves out that something is said where another claim says what.
func withoutSaid(claims []string) []string {
	var kept []string
	for i, claim := range claims {
		what, isSaid := strings.CutSuffix(claim, " is said")
		others := slices.Concat(claims[:i], claims[i+1:])
		if !isSaid || !slices.ContainsFunc(others, func(other string) bool { return strings.HasPrefix(other, what+" ") }) {
			kept = append(kept, claim)
		}
	}
	return kept
}

// say says what has a value.
func (w wording) say(x ast.Expr) string {
	switch x.Kind() {
	case ast.LiteralKind:
		return fmt.Sprint(x.AsLiteral().Value())
	case ast.IdentKind:
		if w.each[x.AsIdent()] {
			return "it"
		}
		return words(x.AsIdent())
	case ast.SelectKind:
		field := words(x.AsSelect().FieldName())
		if of := x.AsSelect().Operand(); of.Kind() != ast.IdentKind || !w.each[of.AsIdent()] {
			field = w.say(of) + " " + field
		}
		return field
	case ast.ListKind:
		return list(w.all(x.AsList().Elements()), "or")
	case ast.CallKind:
		return w.call(x.AsCall())
	}
	return unspoken
}

func (w wording) all(xs []ast.Expr) []string {
	var said []string
	for _, x := range xs {
		said = append(said, w.say(x))
	}
	return said
}

func (w wording) call(call ast.CallExpr) string {
	args := call.Args()
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	said := w.all(args)
	comparison, compares := comparisons[call.FunctionName()]
	switch {
	case compares:
		return said[0] + " " + comparison + " " + said[1]
	case call.FunctionName() == operators.In && args[1].Kind() == ast.ListKind:
		return said[0] + " is " + said[1]
	case call.FunctionName() == operators.In:
		return said[0] + " is among " + said[1]
	case call.FunctionName() == "size":
		return "the number of " + said[0]
	}
	return unspoken + " of " + list(said, "and")
}

// macro says has, exists and their like the way they are written, before the language takes them apart.
func (w wording) macro(call ast.CallExpr) string {
	args := call.Args()
	of := map[string]string{
		"exists": "for at least one", "all": "for every one", "exists_one": "for exactly one", "existsOne": "for exactly one",
	}[call.FunctionName()]
	switch {
	case call.FunctionName() == "has":
		return w.say(args[0]) + " is said"
	case of == "" || len(args) != 2 || args[0].Kind() != ast.IdentKind:
		return unspoken
	}
	inner := wording{w.info, map[string]bool{args[0].AsIdent(): true}}
	for name := range w.each {
		inner.each[name] = true
	}
	return fmt.Sprintf("%s of %s %s", of, w.say(call.Target()), inner.claim(args[1], true))
}
