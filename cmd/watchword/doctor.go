package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// doctorCmd looks at everything that can be looked at from here and says what to
// do. It exits with 1 if something must be done.
type doctorCmd struct {
	Origin string `name:"origin" placeholder:"URL" help:"Also check cookies and CORS for the front-end at this origin."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (c *doctorCmd) Run(ctx context.Context, p *program) error {
	d := &checkup{}
	if wrong := p.sources.faults(p.settings); wrong != nil {
		for _, f := range wrong.(faults) {
			d.fail("settings", f.Where, f.Problem)
		}
		return errors.Join(d.print(p, c.JSON), errMisuse)
	}
	d.settings(p)
	d.files(p.settings)
	d.store(ctx, p)
	d.mailServer(ctx, p)
	d.reachable(ctx, p.settings)
	d.origins(p.settings, c.Origin)
	return d.print(p, c.JSON)
}

// A finding is one line of the doctor.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, warn, fail
	Found  string `json:"found"`
	Do     string `json:"do,omitempty"`
}

type checkup struct{ findings []finding }

func (d *checkup) ok(check, found string) { d.add(finding{check, "ok", found, ""}) }

func (d *checkup) warn(check, found, do string) { d.add(finding{check, "warn", found, do}) }

func (d *checkup) fail(check, found, do string) { d.add(finding{check, "fail", found, do}) }

func (d *checkup) add(f finding) { d.findings = append(d.findings, f) }

// print shows the findings and returns errReported if one is a failure.
func (d *checkup) print(p *program, asJSON bool) error {
	count := map[string]int{}
	for _, f := range d.findings {
		count[f.Result]++
	}
	var result error
	if count["fail"] > 0 {
		result = errReported
	}
	if asJSON {
		return errors.Join(p.printJSON(map[string]any{"ok": result == nil, "findings": d.findings}), result)
	}
	for _, f := range d.findings {
		p.say("%-4s  %-10s  %s", f.Result, f.Check, printable(f.Found))
		if f.Do != "" {
			p.say("%18s%s", "", printable(f.Do))
		}
	}
	p.say("\n%d ok, %d to look at, %d to be fixed.", count["ok"], count["warn"], count["fail"])
	return result
}

func (d *checkup) settings(p *program) {
	set := 0
	for _, each := range p.settings.list() {
		origin := p.sources.origin(each.Name)
		if origin != "default" {
			set++
		}
		if each.Secret != "" && origin == "flag --"+each.Name && each.text() != string(each.value.String()) {
			d.warn("settings", each.Name+" is on the command line, where every user of the machine can read it.",
				"Write it to a file of mode 0600 and name that in "+variable(each.Name)+"_FILE.")
		}
	}
	d.ok("settings", fmt.Sprintf("%d settings, %d of them set. `watchword config` shows them.", len(p.settings.list()), set))
	for _, warning := range p.settings.warnings() {
		d.warn("settings", oneLine(warning), "")
	}
	if p.settings.AccessTTL > p.settings.SessionIdle {
		d.warn("settings", "access tokens live longer than an idle session.", "Write session-idle larger than access-ttl.")
	}
	behindProxy := p.settings.https() && p.settings.TLSCert == ""
	if behindProxy && len(p.settings.TrustedProxies) == 0 {
		d.warn("settings", "https ends at a proxy that is not trusted: all clients count as one, and share its limits.",
			"Write the proxy's network to trusted-proxies, such as 127.0.0.1/32.")
	}
}

// files checks who else on the machine can read the data.
func (d *checkup) files(s *Settings) {
	open := 0
	for _, path := range []string{s.DataDir, s.databasePath(), s.masterKeyPath()} {
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			open++
			d.fail("files", fmt.Sprintf("%s has mode %04o: others on this machine can read it.", path, info.Mode().Perm()), "Run chmod go= "+path)
		}
	}
	if _, err := os.Stat(s.DataDir); err == nil && open == 0 {
		d.ok("files", "only this user reads "+s.DataDir)
	}
}

// store checks the database and what is in it.
func (d *checkup) store(ctx context.Context, p *program) {
	if !p.settings.onPostgres() && missing(p.settings.databasePath()) {
		d.warn("store", "there is no database at "+p.settings.databasePath()+" yet.", "`watchword serve` makes it; or write the right data-dir.")
		return
	}
	s, err := p.openExisting(ctx)
	if errors.Is(err, sqlite.ErrDamaged) {
		d.fail("store", plain(err), restoreBackup)
		return
	}
	if err != nil {
		d.fail("store", plain(err), "See that the data directory and its master key belong together and are this user's.")
		return
	}
	defer s.close()
	if err := s.store.Check(ctx); err != nil {
		d.fail("store", err.Error(), restoreBackup)
		return
	}
	d.ok("store", p.settings.databaseName()+" is whole and of this release")
	for _, warning := range storeWarnings(ctx, s.store) {
		d.warn("store", oneLine(warning), "")
	}
	d.keys(ctx, s.engine)
	d.outbox(ctx, s.engine)
}

// manyKeys of one use are more than any schedule makes.
const manyKeys = 100

// keys checks that something signs now and something will after it, and that
// the clock has not been set back.
func (d *checkup) keys(ctx context.Context, engine *watchword.Engine) {
	keys, err := engine.Operator().Keys(ctx)
	if err != nil {
		d.fail("keys", plain(err), "See what the log of the server says.")
		return
	}
	now := time.Now().Add(-engine.ClockAhead())
	states, uses := map[string]int{}, map[watchword.KeyUse]int{}
	for _, k := range keys {
		states[string(k.Use)+" "+k.State]++
		uses[k.Use]++
		if k.PublishedAt.After(now.Add(time.Minute)) {
			d.fail("clock", fmt.Sprintf("a key was published at %s, which is still to come: the clock was set back.", clock(k.PublishedAt)), "Set the clock; use NTP.")
			return
		}
	}
	d.ok("clock", clock(now)+", not behind what the store remembers")
	if ahead := engine.ClockAhead().Round(time.Millisecond); ahead.Abs() > time.Second {
		d.warn("clock", fmt.Sprintf("this machine's clock differs by %s from the database's, which rules.", ahead.Abs()), "Set both clocks; use NTP.")
	}
	for _, use := range []watchword.KeyUse{watchword.KeySign, watchword.KeyRefresh} {
		if states[string(use)+" active"] == 0 {
			d.fail("keys", "no key of use "+string(use)+" is active.", "Start the server; it makes keys. Then look again.")
			return
		}
	}
	for use, n := range uses {
		if n > manyKeys {
			d.warn("keys", fmt.Sprintf("there are %d keys of use %s, of at most 255.", n, use), "Rotate less often: `watchword keys list` says when they are dropped.")
		}
	}
	d.ok("keys", fmt.Sprintf("%d keys, one active for each use", len(keys)))
}

// outbox checks that mail does not pile up.
func (d *checkup) outbox(ctx context.Context, engine *watchword.Engine) {
	stats, err := engine.Stats(ctx)
	if stats.Store != nil {
		d.fail("writes", plain(stats.Store), "Free some disk space, or make the database writable.")
	}
	switch {
	case err != nil:
		d.fail("outbox", plain(err), "See what the log of the server says.")
	case stats.MailGivenUp > 0:
		d.warn("outbox", fmt.Sprintf("%d mails were given up.", stats.MailGivenUp), "`watchword mail list` says why; then `watchword mail retry`.")
	case stats.MailWaiting > 0 && time.Since(stats.MailOldest) > 10*time.Minute:
		d.warn("outbox", fmt.Sprintf("%d mails wait, the oldest since %s.", stats.MailWaiting, clock(stats.MailOldest)), "See that the server runs; `watchword mail list` says what went wrong.")
	default:
		d.ok("outbox", fmt.Sprintf("%d mails wait", stats.MailWaiting))
	}
}
