package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/samber/lo"

	sharingagreements "referralhub/sharing-agreements"

	"referralhub/cmd/partner/client"
	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/replay"
	"referralhub/hub/transfer"
)

type agreementCmd struct {
	Check   agreementCheck   `cmd:"" help:"Check every agreement and the register. Exit 0 only if all is well."`
	Test    agreementTest    `cmd:"" help:"Play the cases beside the agreements. Exit 0 only if all come as expected and every clause has one."`
	Explain agreementExplain `cmd:"" help:"Say in plain English what an agreement permits, on a page to sign."`
	Diff    agreementDiff    `cmd:"" help:"Say what would newly flow, stop flowing or change from one version to another."`
	Export  agreementExport  `cmd:"" help:"Write an agreement for other software (ODRL), or a partner's record of processing (Art 30)."`

	Act agreementAct `cmd:"" help:"Activate, suspend, resume or retire a version while the hub runs, also for what is queued."`

	Forecast agreementForecast `cmd:"" help:"Say which clauses stop or start on which date, and how much goes under them."`
	Simulate agreementSimulate `cmd:"" help:"Say which past transfers a proposed version would have decided otherwise."`
	Usage    agreementUsage    `cmd:"" help:"Say what each clause carried, what nobody sends, and what is sent for nothing."`
}

type agreementCheck struct {
	Dir string `arg:"" optional:"" help:"Folder of counties; the agreements built into the hub when left out." type:"existingdir"`
}

func folder(dir string) fs.FS {
	if dir == "" {
		return sharingagreements.Files
	}
	return os.DirFS(dir)
}

func (c *agreementCheck) Run(e *env) error {
	x, faults, err := agreement.Load(folder(c.Dir), time.Now())
	if err != nil {
		return err
	}
	ok, err := agreement.Check(e.stdout, faults)
	if err != nil {
		return err
	}
	if !ok {
		wrong := lo.CountBy(faults, func(f agreement.Fault) bool { return !f.Warning })
		fmt.Fprintf(e.stdout, "%s to mend: a hub does not start on these, and one that runs keeps what it has.\n", client.Count(wrong, "fault"))
		return errFailed
	}
	if len(x.Partners()) == 0 {
		return fmt.Errorf("%s declares no partner: name the folder that holds a folder for each county", c.Dir)
	}
	fmt.Fprintf(e.stdout, "%s, %s: in order.\n", client.Count(len(x.Agreements()), "agreement"), client.Count(len(x.Partners()), "partner"))
	return nil
}

type agreementExplain struct {
	Agreement string `arg:"" help:"Such as hertswise, or hertswise@1 for one version."`
	Dir       string `arg:"" optional:"" help:"Folder of counties; the agreements built into the hub when left out." type:"existingdir"`
}

// Help is what `hub agreement explain --help` says besides.
func (agreementExplain) Help() string {
	return `The newest version is explained, unless another is named.

	hub agreement explain hertswise
	hub agreement explain hertswise@1 my-agreements`
}

func (c *agreementExplain) Run(e *env) error {
	x, err := e.declared(c.Dir)
	if err != nil {
		return err
	}
	found, err := version(x, c.Agreement)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(e.stdout, agreement.Explain(found, x))
	return err
}

// declared loads the agreements of a folder, or those that the hub is built with.
func (e *env) declared(dir string) (*agreement.Index, error) {
	x, faults, err := agreement.Load(folder(dir), time.Now())
	if err != nil {
		return nil, err
	}
	if x == nil {
		return nil, e.faulty(faults)
	}
	return x, nil
}

// version finds the version that is named, "hertswise@1", or the newest of "hertswise".
func version(x *agreement.Index, name string) (*agreement.Agreement, error) {
	id, version, given := strings.Cut(name, "@")
	var found *agreement.Agreement
	for _, a := range x.Agreements() {
		if a.ID == transfer.AgreementID(id) && (!given || strconv.Itoa(a.Version) == version) {
			found = a
		}
	}
	if found == nil {
		known := lo.Map(x.Agreements(), func(a *agreement.Agreement, _ int) string { return a.Ref() })
		return nil, fmt.Errorf("there is no agreement %s: there are %s", name, strings.Join(known, ", "))
	}
	return found, nil
}

type agreementDiff struct {
	Before string `arg:"" help:"A version, such as hertswise@1; or a folder of counties."`
	After  string `arg:"" help:"Another version, such as hertswise@2; or a folder as it is proposed."`
	Dir    string `arg:"" optional:"" help:"Folder of counties that has both versions; the agreements built into the hub when left out." type:"existingdir"`
	JSON   bool   `help:"Write the differences as JSON, for other programs." name:"json"`
}

// Help is what `hub agreement diff --help` says besides.
func (agreementDiff) Help() string {
	return `Every item that would newly flow or stop, every ground, condition, date and promise that would be another: from whom, to whom, for which purpose.
Of two folders, each agreement's version that counts today is compared.

	hub agreement diff hertswise@1 hertswise@2
	hub agreement diff sharing-agreements my-proposal`
}

func (c *agreementDiff) Run(e *env) error {
	var pairs [][2]*agreement.Agreement
	if isFolder(c.Before) && isFolder(c.After) {
		before, err := e.declared(c.Before)
		if err != nil {
			return err
		}
		after, err := e.declared(c.After)
		if err != nil {
			return err
		}
		pairs = currents(before, after, time.Now())
	} else {
		x, err := e.declared(c.Dir)
		if err != nil {
			return err
		}
		before, err := version(x, c.Before)
		if err != nil {
			return err
		}
		after, err := version(x, c.After)
		if err != nil {
			return err
		}
		pairs = append(pairs, [2]*agreement.Agreement{before, after})
	}
	all := []agreementDifferences{}
	for _, pair := range pairs {
		d := agreementDifferences{ref(pair[0]), ref(pair[1]), agreement.Diff(pair[0], pair[1])}
		if len(d.Differences) > 0 {
			all = append(all, d)
		}
	}
	if c.JSON {
		return e.printJSON(all)
	}
	total := 0
	for _, d := range all {
		text := agreement.DiffText(d.Differences)
		total += strings.Count(text, "\n  ")
		fmt.Fprintf(e.stdout, "%s becomes %s\n\n%s\n", cmp.Or(d.Before, "nothing"), cmp.Or(d.After, "nothing"), text)
	}
	_, err := fmt.Fprintf(e.stdout, "%s in %s.\n", client.Count(total, "difference"), client.Count(len(all), "agreement"))
	return err
}

type agreementDifferences struct {
	Before      string                 `json:"before,omitempty"`
	After       string                 `json:"after,omitempty"`
	Differences []agreement.Difference `json:"differences"`
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func ref(a *agreement.Agreement) string {
	if a == nil {
		return ""
	}
	return a.Ref()
}

// currents pairs the versions that count at an instant, by agreement. An agreement that only one side has stands alone.
func currents(before, after *agreement.Index, at time.Time) [][2]*agreement.Agreement {
	var pairs [][2]*agreement.Agreement
	all := slices.Concat(before.Agreements(), after.Agreements())
	ids := lo.Uniq(lo.Map(all, func(a *agreement.Agreement, _ int) transfer.AgreementID { return a.ID }))
	slices.Sort(ids)
	for _, id := range ids {
		a, _ := before.Current(id, at)
		b, _ := after.Current(id, at)
		pairs = append(pairs, [2]*agreement.Agreement{a, b})
	}
	return pairs
}

func (e *env) printJSON(v any) error {
	out := json.NewEncoder(e.stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

type agreementForecast struct {
	Dir   string    `arg:"" optional:"" help:"Folder of counties; the agreements built into the hub when left out." type:"existingdir"`
	Until time.Time `help:"Look so far ahead; a year when left out." format:"2006-01-02" placeholder:"DATE"`
}

// Help is what `hub agreement forecast --help` says besides.
func (agreementForecast) Help() string {
	return `What happens if nobody does anything: agreements and contracts end, reviews are missed and their grace runs out, the next version takes over, a
partner's Data Security and Protection Toolkit lapses. Where the hub has a log, it says how much went under each clause in the last year.

	hub agreement forecast
	hub --config hub.yaml agreement forecast --until 2027-12-31`
}

func (c *agreementForecast) Run(e *env) error {
	x, err := e.declared(c.Dir)
	if err != nil {
		return err
	}
	now := time.Now()
	until := c.Until
	if until.IsZero() {
		until = now.AddDate(1, 0, 0)
	}
	traffic, err := e.traffic(x, now)
	if err != nil {
		return err
	}
	changes := x.Forecast(now, until)
	for i, ch := range changes {
		if i == 0 || !ch.At.Equal(changes[i-1].At) || ch.Detail != changes[i-1].Detail {
			fmt.Fprint(e.stdout, client.Wrap("", ch.At.Format("2 January 2006")+": "+ch.Detail))
		}
		line := lo.Ternary(ch.Stops, "stops: ", "starts: ") + ch.Clause
		if ch.To != "" {
			line += " to " + string(ch.To)
		}
		if traffic != nil && ch.Stops {
			line += fmt.Sprintf(" (%s in the last year)", client.Count(traffic[ch.Clause], "transfer"))
		}
		fmt.Fprintln(e.stdout, "  "+line)
	}
	if traffic == nil {
		fmt.Fprintln(e.stdout, "note: there is no log of a hub here, so nobody can say how much goes under these clauses.")
	}
	stops := lo.CountBy(changes, func(ch agreement.Change) bool { return ch.Stops })
	_, err = fmt.Fprintf(e.stdout, "By %s %s if nobody does anything; %d start.\n",
		until.Format("2 January 2006"), stopping(stops), len(changes)-stops)
	return err
}

func stopping(n int) string {
	if n == 1 {
		return "1 clause stops"
	}
	return fmt.Sprintf("%d clauses stop", n)
}

// traffic counts the transfers of the last year by clause; nil where there is no hub whose log could tell.
func (e *env) traffic(x *agreement.Index, now time.Time) (map[string]int64, error) {
	if _, err := e.existing(); err != nil {
		return nil, nil //nolint:nilerr // a folder of agreements can be looked at without a hub
	}
	var counts map[string]int64
	err := e.withLog(func(src ledger.Source) error {
		used, err := replay.Usage(e.ctx, src, x, now.AddDate(-1, 0, 0), now)
		counts = make(map[string]int64, len(used))
		for _, u := range used {
			counts[u.Clause] += u.Transfers
		}
		return err
	})
	return counts, err
}

type agreementExport struct {
	What string `arg:"" enum:"odrl,ropa" help:"odrl: an agreement as ODRL 2.2 with DPV terms, JSON-LD. ropa: a partner's record of processing."`
	Name string `arg:"" help:"An agreement, such as hertswise or hertswise@1; or a partner, such as hils."`
	Dir  string `arg:"" optional:"" help:"Folder of counties; the agreements built into the hub when left out." type:"existingdir"`
	JSON bool   `help:"Write the record of processing as JSON." name:"json"`
}

// Help is what `hub agreement export --help` says besides.
func (agreementExport) Help() string {
	return `	hub agreement export odrl hertswise > hertswise.jsonld
	hub agreement export ropa hils > record.md
	hub agreement export ropa hils --json`
}

func (c *agreementExport) Run(e *env) error {
	x, err := e.declared(c.Dir)
	if err != nil {
		return err
	}
	if c.What == "odrl" {
		a, err := version(x, c.Name)
		if err != nil {
			return err
		}
		text, err := agreement.ODRL(a, x)
		if err != nil {
			return err
		}
		_, err = e.stdout.Write(text)
		return err
	}
	record, ok := agreement.RecordOf(x, transfer.PartnerID(c.Name), time.Now())
	if !ok {
		known := lo.Map(x.Partners(), func(p *transfer.Partner, _ int) string { return string(p.ID) })
		return fmt.Errorf("there is no partner %s: there are %s", c.Name, strings.Join(known, ", "))
	}
	if c.JSON {
		return e.printJSON(record)
	}
	_, err = fmt.Fprint(e.stdout, record.Markdown())
	return err
}
