// Partner is a small client of a referral hub, for the developer of a partner's system: to try the hub out, to script it, and
// to read. Everything that it asks of a hub goes through the package in client/.
//
//	export HUB_URL=https://hub.example HUB_SYSTEM=age-uk-hertfordshire/crm HUB_KEY=hub-key.pem
//	partner key                         make a key pair; its public half goes to the hub's operator
//	partner send referral.json          hand a referral in
//	partner inbox --wait 30s            what waits for us
//	partner collect ID --out case.json  take it
//	partner receipt ID accepted         tell the sender
//	partner verify case.json --log-key hub-log.pub
//	partner proof ID                    keep the receipt of what we were given, for years from now
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"referralhub/cmd/partner/client"
	"referralhub/hub/auth"
	"referralhub/hub/transfer"
)

type flags struct {
	Hub    string            `env:"HUB_URL" placeholder:"URL" help:"Where the hub is: https://hub.example."`
	CA     string            `name:"ca" env:"HUB_CA" placeholder:"FILE" help:"PEM file of the authority that signed the hub's certificate, when it is the hub's own."`
	System transfer.SystemID `env:"HUB_SYSTEM" placeholder:"ID" help:"Our system's id, as registered with the hub."`
	Key    string            `env:"HUB_KEY" placeholder:"FILE" help:"Our private key, made by 'partner key'."`
	Kid    string            `env:"HUB_KID" placeholder:"ID" help:"Id under which the key is registered, when it is not its thumbprint."`
	Alg    string            `env:"HUB_ALG" placeholder:"NAME" help:"Algorithm to sign with, when it is not the usual one for the key: PS256 for RSA, say."`
	JSON   bool              `name:"json" help:"Print answers as JSON."`

	MakeKey keyCommand   `cmd:"" group:"Set up" name:"key" help:"Make a key pair for a system of ours."`
	Token   tokenCommand `cmd:"" group:"Set up" help:"Print an access token, for use with other tools."`

	Agreement agreementCommand `cmd:"" group:"Agreements" help:"List, read, suspend and resume the agreements that we are a party to."`
	Sign      signCommand      `cmd:"" group:"Agreements" help:"Sign an agreement with our key."`

	Send     sendCommand     `cmd:"" group:"Send" help:"Hand in a referral."`
	Transfer transferCommand `cmd:"" group:"Send" help:"Say where a transfer stands."`
	Consent  consentCommand  `cmd:"" group:"Send" help:"Record that somebody gave, refused or withdrew consent."`

	Inbox   inboxCommand   `cmd:"" group:"Receive" help:"List what waits for us."`
	Collect collectCommand `cmd:"" group:"Receive" help:"Take a transfer out of the inbox."`
	Receipt receiptCommand `cmd:"" group:"Receive" help:"Tell the sender what became of a transfer."`

	Holds     holdsCommand     `cmd:"" group:"Decide" help:"List what waits for one of our people to look at it."`
	Rule      ruleCommand      `cmd:"" group:"Decide" help:"Release, refuse or return a transfer that is held."`
	Disclosed disclosedCommand `cmd:"" group:"Decide" help:"Enter what was told outside the hub, by telephone perhaps."`

	Case     caseCommand     `cmd:"" group:"Rights" help:"Work on rights, complaints and incidents."`
	Incident incidentCommand `cmd:"" group:"Rights" help:"Size an incident, or draft what the Information Commissioner is told about it."`
	Notices  noticesCommand  `cmd:"" group:"Rights" help:"See what we have been told to put right or not to use, and say what we did."`

	Search    searchCommand    `cmd:"" aliases:"audit" group:"Check" help:"Ask the disclosure log who received what."`
	Proof     proofCommand     `cmd:"" group:"Check" help:"Keep the disclosure receipt of a transfer: what was released, and the proof that it is in the log."`
	Reconcile reconcileCommand `cmd:"" group:"Check" help:"Compare what we hold with what the hub's log says was released to us."`
	Witness   witnessCommand   `cmd:"" group:"Check" help:"Cosign the log's checkpoints, so that nobody can rewrite it."`
	Verify    verifyCommand    `cmd:"" group:"Check" help:"Check that what was collected is in the hub's log, unaltered."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run gives the exit status: 0 when all is well, 1 when it is not, 2 when the command line makes no sense.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var f flags
	exit := -1
	parser, err := kong.New(&f, kong.Name("partner"), kong.Writers(stdout, stderr), kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}), kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Description("A client of the referral hub, for a partner's system."))
	if err != nil {
		complain(stderr, err)
		return 2
	}
	k, err := parser.Parse(args)
	if exit >= 0 {
		return exit // it was asked for help
	}
	if err != nil {
		parser.Stdout = stderr
		if wrong := (*kong.ParseError)(nil); errors.As(err, &wrong) && (len(args) == 0 || len(wrong.Context.Path) > 1) {
			_ = wrong.Context.PrintUsage(len(args) > 0) // all of it for somebody who has asked for nothing yet
		}
		complain(stderr, err)
		return 2
	}
	if err := k.Run(&session{flags: &f, in: stdin, out: stdout}); err != nil {
		complain(stderr, err)
		return 1
	}
	return 0
}

// complain says what went wrong, an error of several lines below its first.
func complain(w io.Writer, err error) {
	fmt.Fprintln(w, "partner:", strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n         "))
}

// session is what the commands share.
type session struct {
	flags *flags
	in    io.Reader
	out   io.Writer
}

// hub makes the client that the flags describe.
func (s *session) hub() (*client.Client, error) {
	f := s.flags
	if f.Hub == "" || f.System == "" || f.Key == "" {
		return nil, errors.New("where the hub is and who we are: set --hub, --system and --key, or HUB_URL, HUB_SYSTEM and HUB_KEY")
	}
	text, err := os.ReadFile(f.Key)
	if err != nil {
		return nil, fmt.Errorf("read our key: %w", err)
	}
	keys, err := auth.ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("read our key %s: %w", f.Key, err)
	}
	key := keys[0]
	key.ID, key.Algorithm = cmp.Or(f.Kid, key.ID), cmp.Or(f.Alg, key.Algorithm)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if f.CA != "" {
		text, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("read the hub's authority: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read the hub's authority %s: it holds no certificate in PEM", f.CA)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	// Longer than the longest time for which the hub holds back an answer about the inbox.
	return client.New(client.Config{BaseURL: f.Hub, System: f.System, Key: key, HTTP: &http.Client{Transport: transport, Timeout: 60 * time.Second}})
}

// print gives an answer to a person through words, or to a program as JSON.
func (s *session) print(answer any, words func()) error {
	if !s.flags.JSON {
		words()
		return nil
	}
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(answer)
}

func (s *session) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// paragraph says what may be long.
func (s *session) paragraph(indent, format string, args ...any) {
	fmt.Fprint(s.out, client.Wrap(indent, fmt.Sprintf(format, args...)))
}

// items names items, a section of the message a paragraph.
func (s *session) items(indent string, names []string) {
	for _, section := range client.Sections(names) {
		s.paragraph(indent, "%s", section)
	}
}

// read gives a file's contents, or those of standard input for "-".
func (s *session) read(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(s.in)
	}
	return os.ReadFile(name)
}
