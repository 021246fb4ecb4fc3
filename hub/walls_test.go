package hub_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "referralhub/"

// A wall says on which floor a package stands and which packages of this module it may import. The floors are those drawn in the
// package comment. A package that may import another of its own floor says why.
type wall struct {
	floor float64
	may   string
}

var walls = map[string]wall{
	// The vocabulary, the schemas, the agreements.
	"hub":                {0, ""}, // the map, and these walls
	"hub/transfer":       {0, ""},
	"contracts":          {0, "hub/transfer"}, // schemas speak of roles and purposes
	"hub/dates":          {0, ""},
	"sharing-agreements": {0, ""},

	// Pure.
	"hub/agreement": {1, "contracts hub/dates hub/transfer"},
	"hub/auth":      {1, "hub/transfer"},
	"hub/consent":   {1, "contracts hub/transfer"},
	"hub/dataset":   {1, "contracts"},
	"hub/casebook":  {1, "contracts hub/agreement hub/consent hub/dataset hub/policy hub/transfer"}, // it plays a decision from the message to the cut
	"hub/policy":    {1, "contracts hub/agreement hub/consent hub/dates hub/transfer"},              // it judges by the agreement and by what people have said

	// Durable state.
	"hub/seal":                    {2, "hub/transfer"},
	"hub/ledger":                  {2, "hub/transfer"},
	"hub/ledger/audit":            {2, "hub/ledger hub/transfer"},
	"hub/ledger/receipt":          {2, "hub/ledger hub/seal"},              // the digest of a dataset
	"hub/ledger/witness":          {2, "hub/ledger hub/store"},             // where checkpoints are published
	"hub/store":                   {2, "hub/ledger hub/seal hub/transfer"}, // what is kept: leaves and sealed payloads
	"hub/store/internal/sqlstore": {2, "hub/ledger hub/store hub/transfer"},
	"hub/store/postgres":          {2, "hub/store hub/store/internal/sqlstore"},
	"hub/store/sqlite":            {2, "hub/store hub/store/internal/sqlstore"},

	// What is unusual in the log. Pure.
	"hub/watch": {2, "hub/consent hub/dates hub/ledger hub/transfer"},

	// Carrying.
	"hub/bus":          {3, "hub/transfer"},
	"hub/delivery":     {3, "hub/bus hub/ledger hub/seal hub/transfer"}, // the worker takes its work from the bus
	"adapters/mailbox": {3, "hub/delivery hub/transfer"},                // each adapter carries parcels
	"adapters/webhook": {3, "hub/delivery hub/transfer"},

	// Decisions made again from the log.
	"hub/replay": {3, "contracts hub/agreement hub/consent hub/ledger hub/policy hub/transfer"},

	// What the log says of the flows of data. Its tables are rows of a report.
	"hub/traffic": {3, "contracts hub/agreement hub/ledger hub/report hub/store hub/transfer"},

	// What was found in the log, for those who read it.
	"hub/report": {3, "contracts hub/agreement hub/dates hub/ledger hub/transfer"},

	// The use cases.
	"hub/exchange": {3.5, "contracts hub/agreement hub/auth hub/bus hub/consent hub/dataset hub/dates hub/delivery hub/ledger hub/policy hub/replay hub/report" +
		" hub/seal hub/store hub/traffic hub/transfer"},

	// What people do about a person's rights, each step an act of the exchange.
	"hub/tables": {3.5, "hub/exchange hub/ledger hub/ledger/audit hub/seal hub/store hub/transfer"}, // it reads what the exchange has written
	"hub/rights": {3.5, "contracts hub/agreement hub/consent hub/dates hub/exchange hub/ledger hub/policy hub/report hub/store hub/transfer hub/watch"},

	// HTTP in, and the same operation over NATS.
	"hub/api": {4, "contracts hub/auth hub/bus hub/consent hub/dates hub/exchange hub/ledger hub/ledger/receipt hub/ledger/witness hub/policy hub/report hub/rights hub/store hub/transfer"},

	// The composition root: it alone knows which stores and adapters there are.
	"hub/server": {5, "adapters/mailbox adapters/webhook hub/agreement hub/api hub/auth hub/bus hub/dates hub/delivery hub/exchange hub/ledger" +
		" hub/ledger/audit hub/ledger/witness hub/rights hub/seal hub/store hub/store/postgres hub/store/sqlite hub/tables hub/transfer sharing-agreements"},

	// Programs. A partner's client knows the vocabulary and how to sign, and nothing of how a hub works: what it checks of the log it
	// checks by code of its own. `hub demo` and `hub bench` are partners, and reach the hub as partners do.
	"cmd/partner/client": {6, "hub/auth hub/transfer"},
	"cmd/partner":        {6, "cmd/partner/client hub/auth hub/transfer"},
	"cmd/hub": {6, "cmd/partner/client contracts hub/agreement hub/auth hub/casebook hub/dates hub/exchange hub/ledger hub/ledger/audit hub/rights" +
		" hub/ledger/receipt hub/ledger/witness hub/replay hub/report hub/server hub/store hub/traffic hub/transfer sharing-agreements"},

	// What tests are made with.
	"hub/seal/vaulttest":         {2, ""},
	"hub/store/pgtest":           {2, ""},
	"hub/store/storetest":        {2, "hub/ledger hub/seal hub/store hub/store/pgtest hub/transfer"},
	"adapters/adaptertest":       {3, "hub/delivery hub/ledger hub/seal hub/transfer"},
	"cmd/partner/client/hubtest": {6, "hub/auth hub/transfer"},
}

// apparatus is what only tests may import, and who may all the same.
var apparatus = map[string]string{
	"adapters/adaptertest":       "",
	"cmd/partner/client/hubtest": "",
	"hub/seal/vaulttest":         "",
	"hub/store/pgtest":           "cmd/hub", // `hub bench --store postgres` measures on a server of its own
	"hub/store/storetest":        "",
}

// upward is what a package's tests may import from a floor above.
var upward = map[string]string{
	"hub/server": "cmd/partner/client", // its stories are told by partners, over the wire
}

type pkg struct {
	Dir, ImportPath                             string
	GoFiles, Imports, TestImports, XTestImports []string
}

// packages lists the module's packages by their path below it.
func packages(t *testing.T) map[string]pkg {
	t.Helper()
	list := exec.Command("go", "list", "-json", "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	found := map[string]pkg{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(p.ImportPath, module)] = p
	}
}

// ours gives those of the imports that are packages of this module.
func ours(imports ...[]string) []string {
	var out []string
	for _, i := range slices.Concat(imports...) {
		if own, ok := strings.CutPrefix(i, module); ok {
			out = append(out, own)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestImportsPointDown(t *testing.T) {
	found := packages(t)
	for _, name := range slices.Sorted(maps.Keys(walls)) {
		if _, exists := found[name]; !exists {
			t.Errorf("%s has walls and does not exist: take it out of the list", name)
		}
		for _, i := range strings.Fields(walls[name].may) {
			if below, listed := walls[i]; !listed || below.floor > walls[name].floor {
				t.Errorf("the list lets %s import %s, which is not on a floor below", name, i)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		w, listed := walls[name]
		if !listed {
			t.Errorf("%s has no walls: say on which floor it stands and what it may import", name)
			continue
		}
		may := strings.Fields(w.may)
		for _, i := range ours(found[name].Imports) {
			if _, test := apparatus[i]; !test && !slices.Contains(may, i) {
				t.Errorf("%s imports %s and may not", name, i)
			}
		}
		for _, i := range ours(found[name].TestImports, found[name].XTestImports) {
			if walls[i].floor > w.floor && upward[name] != i {
				t.Errorf("the tests of %s (floor %v) reach up to %s (floor %v)", name, w.floor, i, walls[i].floor)
			}
		}
	}
}

func TestNothingShippedImportsTestApparatus(t *testing.T) {
	for name, p := range packages(t) {
		for _, i := range ours(p.Imports) {
			except, test := apparatus[i]
			_, itself := apparatus[name]
			if test && !itself && name != except {
				t.Errorf("%s is not a test and imports %s", name, i)
			}
		}
	}
}

// The pure packages get everything that a decision depends on as arguments: the time too.
func TestPurePackagesTouchNothingAndKnowNoClock(t *testing.T) {
	outside := []string{"database/sql", "log", "log/slog", "net", "net/http", "os", "os/exec", "syscall"}
	clock := []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}
	for name, p := range packages(t) {
		if walls[name].floor > 1 {
			continue
		}
		for _, i := range p.Imports {
			if slices.Contains(outside, i) {
				t.Errorf("%s imports %s and is to be pure", name, i)
			}
		}
		for position, use := range uses(t, p, "time") {
			if slices.Contains(clock, use) {
				t.Errorf("%s: time.%s in a pure package: take the time as an argument", position, use)
			}
		}
	}
}

// Law 1: a payload leaves in a parcel, and only the exchange makes parcels, behind a committed release leaf.
func TestOnlyTheExchangeMakesParcels(t *testing.T) {
	makers := 0
	for name, p := range packages(t) {
		if _, test := apparatus[name]; test {
			continue
		}
		for position, use := range uses(t, p, module+"hub/delivery") {
			if use != "NewParcel" {
				continue
			}
			makers++
			if name != "hub/exchange" {
				t.Errorf("%s: %s makes a parcel", position, name)
			}
		}
	}
	if makers != 1 {
		t.Errorf("parcels are made in %d places; one place can be read, and that place is the release", makers)
	}
}

// uses finds what the shipped files of p use of an imported package, by position.
func uses(t *testing.T, p pkg, of string) map[string]string {
	t.Helper()
	out := map[string]string{}
	files := token.NewFileSet()
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		local := importedAs(file, of)
		if local == "" {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
					out[files.Position(s.Pos()).String()] = s.Sel.Name
				}
			}
			return true
		})
	}
	return out
}

// importedAs gives the name by which a file knows a package; empty when it does not import it.
func importedAs(file *ast.File, of string) string {
	for _, i := range file.Imports {
		if path, err := strconv.Unquote(i.Path.Value); err != nil || path != of {
			continue
		}
		if i.Name != nil {
			return i.Name.Name
		}
		return of[strings.LastIndex(of, "/")+1:]
	}
	return ""
}

func TestTopLevel(t *testing.T) {
	if _, err := os.Stat("../.git"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("not a git checkout: what belongs to the repository cannot be told from what lies in the folder")
	}
	list := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	top := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		first, _, _ := strings.Cut(strings.TrimSpace(line), "/")
		if !strings.HasPrefix(first, ".") {
			top[first] = true
		}
	}
	want := []string{
		"Makefile", "README.md", "adapters", "cmd", "contracts", "deploy", "go.mod", "go.sum", "hub", "sharing-agreements",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(top))); diff != "" {
		t.Errorf("the top level of the repository (-want +got):\n%s", diff)
	}
}
