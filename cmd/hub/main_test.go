package main

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"referralhub/cmd/partner/client"
	"referralhub/hub/seal/vaulttest"
	"referralhub/hub/transfer"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hub": main})
}

// The scripts in testdata run the program as people do, beside the partners' program.
func TestHub(t *testing.T) {
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "referralhub/cmd/partner").CombinedOutput(); err != nil {
		t.Fatalf("build the partners' program: %v\n%s", err, out)
	}
	examples, err := filepath.Abs("../../contracts/examples")
	if err != nil {
		t.Fatal(err)
	}
	agreements, err := filepath.Abs("../../sharing-agreements")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("EXAMPLES", examples)
			env.Setenv("AGREEMENTS", agreements)
			env.Setenv("ADDRESS", freeAddress())
			env.Setenv("WITNESS", freeAddress())
			env.Setenv("TMPDIR", os.TempDir()) // PostgreSQL, run as another user, does not reach into the script's own
			for _, name := range []string{"CI", "GOCOVERDIR"} {
				env.Setenv(name, os.Getenv(name))
			}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "postgresql" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			_, err := exec.LookPath("initdb")
			packaged, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
			// Where CI is true nobody would read that it was skipped.
			return err == nil || len(packaged) > 0 || os.Getenv("CI") == "true", nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":     status,
			"listening":  listening,
			"eventually": eventually,
			"terminate":  terminate,
			"tamper":     tamper,
			"setenv":     setenv,
			"vault":      vault,
		},
	})
}

// status runs a command that is to end with a certain status.
func status(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("status %d, want %d", got, want)
	}
}

// listening waits until somebody listens at an address.
func listening(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.DialTimeout("tcp", args[0], time.Second)
		if err == nil {
			ts.Check(conn.Close())
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nobody listens at %s: %v", args[0], err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// eventually runs a command until it ends well, or with "!" until it does not: a running hub looks at the register every other second.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	fails := args[0] == "!"
	if fails {
		args = args[1:]
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := ts.Exec(args[1], args[2:]...)
		if (err != nil) == fails {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v, until the end", err)
		}
		<-time.After(500 * time.Millisecond) // who fails to log in often is made to wait
	}
}

// terminate asks what runs in the background to end, as a service manager does.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// setenv NAME PATTERN takes a word of the last output into the environment: what the first group of the pattern matches.
func setenv(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("no match for %q", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// vault starts a stand-in for Vault that holds a key named hub, and sets what a client of Vault reads in the environment.
func vault(ts *testscript.TestScript, _ bool, _ []string) {
	v, err := vaulttest.New("hub")
	ts.Check(err)
	ts.Defer(v.Close)
	ts.Check(os.WriteFile(ts.MkAbs("vault.pem"), v.Authority(), 0o600))
	ts.Setenv("VAULT_ADDR", v.URL())
	ts.Setenv("VAULT_CACERT", ts.MkAbs("vault.pem"))
	ts.Setenv("VAULT_TOKEN", v.Token)
	ts.Setenv("VAULT_MAX_RETRIES", "0")
}

// index is a leaf's place in its log: the lower 40 bits of its key.
const index = "id & 1099511627775"

// tamper does to a hub's database what somebody with access to the disk could do.
func tamper(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", filepath.Join(ts.MkAbs(args[0]), "hub.db"))
	ts.Check(err)
	defer db.Close()
	var n int64
	switch act := args[1]; act {
	case "flip": // one bit of a letter of a leaf
		var leaf []byte
		ts.Check(db.QueryRow("SELECT body FROM leaves WHERE "+index+" = CAST(? AS INTEGER)", args[2]).Scan(&leaf))
		leaf[len(leaf)/2] ^= 1
		n = changed(ts, db, "UPDATE leaves SET body = ? WHERE "+index+" = CAST(? AS INTEGER)", leaf, args[2])
	case "cut": // the last leaf
		n = changed(ts, db, "DELETE FROM leaves WHERE id = (SELECT max(id) FROM leaves)")
	case "move": // every transfer of one state to another
		n = changed(ts, db, "UPDATE transfers SET state = ? WHERE state = ?", args[3], args[2])
	case "forget": // the log, as if there had been none
		n = changed(ts, db, "DELETE FROM logs")
	default:
		ts.Fatalf("unknown act %s", act)
	}
	if n == 0 {
		ts.Fatalf("%v changed nothing", args)
	}
}

func changed(ts *testscript.TestScript, db *sql.DB, query string, args ...any) int64 {
	result, err := db.Exec(query, args...)
	ts.Check(err)
	n, err := result.RowsAffected()
	ts.Check(err)
	return n
}

// What a bench finds wrong, it says with its status, and it looks for each thing that can be.
func TestBenchFindsWhatIsLostAndWhatCameTwice(t *testing.T) {
	l := &load{seen: map[transfer.TransferID]int{}, received: map[transfer.TransferID]time.Time{}, submitted: map[transfer.TransferID]bool{}}
	start := time.Now()
	page := func(id transfer.TransferID) []client.InboxEntry { return []client.InboxEntry{{TransferID: id}} }
	for _, id := range []transfer.TransferID{"whole", "twice", "polled twice", "lost"} {
		l.submitted[id] = true
		if id == "lost" {
			continue
		}
		if got := l.claim(page(id), start); !slices.Equal(got, []transfer.TransferID{id}) {
			t.Fatalf("of a page with %s these are for collecting: %v", id, got)
		}
		l.seen[id], l.received[id] = 1, start.Add(time.Second)
	}
	if again := slices.Concat(l.claim(page("polled twice"), start), l.claim(page("twice"), start.Add(2*time.Second))); len(again) != 0 {
		t.Errorf("collected twice: %v", again)
	}
	submitted, once, missing, duplicated := l.tally()
	if submitted != 4 || once != 2 || missing != 1 || duplicated != 1 {
		t.Errorf("%d submitted, %d once, %d missing, %d duplicated", submitted, once, missing, duplicated)
	}
	answer := `{"results":[{"status":200,"body":{"id":"a","dataset":{}}},{"status":200,"body":{"id":"b"}},{"status":404,"problem":{"dataset":{}}}]}`
	if got := l.given([]byte(answer), `{"status":200,"body":{"id":"`, `"dataset":{`, 3); !slices.Equal(got, []transfer.TransferID{"a"}) || l.firstError() == nil {
		t.Errorf("given were %v, and it says %v", got, l.firstError())
	}
	for _, f := range []figures{{Missing: 1, LogVerified: true}, {Duplicated: 1, LogVerified: true}, {}} {
		if f.sound() {
			t.Errorf("%+v passes for sound", f)
		}
	}
	if !(&figures{LogVerified: true}).sound() {
		t.Error("a sound run is not")
	}
}
