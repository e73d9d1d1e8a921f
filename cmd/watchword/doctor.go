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

// `watchword doctor` answers one question: why does this installation not work, or not safely?
// It runs the checks in the order in which a request depends on the parts, from the settings to
// the mail server. Each finding says what to do, because an operator runs `watchword doctor`
// when something is broken.

// doctorCmd checks everything that can be checked without a running server, and says what to do
// about each problem. It makes no changes (see openUnchanged). A failure means that the server
// or its users have a problem now, and gives exit code 1. A warning means that the operator
// should look at the finding, and does not change the exit code.
type doctorCmd struct {
	Origin string `name:"origin" placeholder:"URL" help:"Also check cookies and CORS for the front-end at this origin."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Run stops after faulty settings, with the exit code for misuse: every later check would fail
// because of them and hide the cause. The other checks run even after a failure, because their
// findings are independent. If the database hangs, its check ends with the timeout of the
// store.
func (c *doctorCmd) Run(ctx context.Context, p *program) error {
	d := &checkup{}
	if wrong := p.sources.allFaults(p.settings); wrong != nil {
		for _, f := range wrong.(faults) {
			d.fail("settings", f.Where, f.Problem)
		}
		return errors.Join(d.printFindings(p, c.JSON), errMisuse)
	}
	d.checkSettings(p)
	d.checkFiles(p.settings)
	d.checkStore(ctx, p)
	d.checkMailServer(ctx, p)
	d.checkProviders(ctx, p.settings)
	d.checkPublicURL(ctx, p.settings)
	d.checkAdminReachable(ctx, p.settings)
	d.checkOrigins(p.settings, c.Origin)
	return d.printFindings(p, c.JSON)
}

// A finding is the result of one check. Scripts rely on the names of checks and results. The
// sentences may change in any release.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, warn, fail
	Found  string `json:"found"`
	Do     string `json:"do,omitempty"`
}

// A checkup collects findings in the order of the checks. A check that can't continue adds a
// failure and returns. The other checks still run, so that one run shows every problem.
type checkup struct{ findings []finding }

// pass records a check without a problem, so that the operator sees what was checked.
func (d *checkup) pass(check, found string) { d.add(finding{check, "ok", found, ""}) }

// warn adds a finding that can become a problem, or is a problem only in some installations.
func (d *checkup) warn(check, found, do string) { d.add(finding{check, "warn", found, do}) }

// fail adds a finding that is a problem now. It makes the exit code 1.
func (d *checkup) fail(check, found, do string) { d.add(finding{check, "fail", found, do}) }

// add appends a finding, so the findings have the order of the checks. A checkup is not safe
// for concurrent use.
func (d *checkup) add(f finding) { d.findings = append(d.findings, f) }

// printFindings returns errReported if a finding is a failure. Only failures cause exit code 1,
// so a deployment can require success and still show warnings.
func (d *checkup) printFindings(p *program, asJSON bool) error {
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
		// Errors can quote a database or a response, so p.say replaces control characters.
		p.say("%-4s  %-10s  %s", f.Result, f.Check, f.Found)
		if f.Do != "" {
			p.say("%18s%s", "", f.Do)
		}
	}
	p.say("\nOk: %d. Warnings: %d. Failures: %d.", count["ok"], count["warn"], count["fail"])
	return result
}

// checkSettings repeats the warnings that serve logs at its start. It also warns about secrets
// on the command line, which other users of the machine can read, and about combinations that
// work but are surprising. A secret in the environment or in a file is not reported: other
// users can't read those.
func (d *checkup) checkSettings(p *program) {
	set := 0
	for _, each := range p.settings.listSettings() {
		origin := p.sources.originOf(each.Name)
		if origin != "default" {
			set++
		}
		if each.Secret != "" && origin == "flag --"+each.Name && each.redactedValue() != string(each.value.String()) {
			d.warn("settings", each.Name+" is on the command line, where every user of the machine can read it.",
				"Write it to a file of mode 0600 and name that in "+variableName(each.Name)+"_FILE.")
		}
	}
	d.pass("settings", fmt.Sprintf("%d settings, %d of them set. `watchword config` shows them.",
		len(p.settings.listSettings()),
		set))
	for _, warning := range p.settings.warnings() {
		d.warn("settings", oneLine(warning), "")
	}
	// This is a warning and not a rule of the settings, because tests and demonstrations use a
	// short session-idle on purpose.
	if p.settings.AccessTTL > p.settings.SessionIdle {
		d.warn("settings", "access tokens live longer than an idle session: a client would lose its session before it "+
			"refreshes.", "Write session-idle larger than access-ttl.")
	}
	// With https but without tls-cert, a proxy must terminate TLS.
	behindProxy := p.settings.usesHTTPS() && p.settings.TLSCert == ""
	if behindProxy && len(p.settings.TrustedProxies) == 0 {
		d.warn("settings", "the proxy that terminates https is not trusted: all clients have its IP and share its limits.",
			"Write the network of the proxy to trusted-proxies, such as 127.0.0.1/32.")
	}
}

// checkFiles checks that other users of the machine can't read the data directory, the database
// and the master key. With these files, a user could read every account and sign tokens. A
// missing file is not reported here, because the check of the store reports it. If others may
// enter the directory but not list it, the check also fails, because the names of the files are
// known.
//
// The group of the data directory may have access to it, because Kubernetes gives volumes to a
// group of the pod. The server removes the group's access to the database, and refuses a master
// key that a group can read.
func (d *checkup) checkFiles(s *Settings) {
	open := 0
	for _, path := range []string{s.DataDir, s.databasePath(), s.masterKeyPath()} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 == 0 {
			continue
		}
		open++
		found, chmod := fmt.Sprintf("%s has mode %04o: ", path, info.Mode().Perm()), "chmod go= "+path
		if info.IsDir() && info.Mode().Perm()&0o007 == 0 {
			d.warn("files", found+"members of its group can use it.", "If other users are in that group, run "+chmod)
		} else {
			d.fail("files", found+"others on this machine can read it.", "Run "+chmod)
		}
	}
	if _, err := os.Stat(s.DataDir); err == nil && open == 0 {
		d.pass("files", "only this user can read "+s.DataDir)
	}
}

// checkStore checks the database, and then the keys and the outbox in it. Operators run the
// doctor while the server runs, so it opens the database as a server does, and not exclusively.
// A database of an older release is only a warning, because the old servers still work, and a
// new server migrates it at its start.
func (d *checkup) checkStore(ctx context.Context, p *program) {
	if !p.settings.usesPostgres() && isMissing(p.settings.databasePath()) {
		d.warn("store", "there is no database at "+p.settings.databasePath()+" yet.",
			"`watchword serve` creates it. If it should exist, correct data-dir.")
		return
	}
	s, err := p.openUnchanged(ctx)
	var older olderError
	switch {
	case errors.As(err, &older):
		d.warn("store", older.database+" is of an older release. Its keys and its outbox were not checked.",
			"Start the server, which migrates it, or run `watchword migrate`. Then run `watchword doctor` again.")
		return
	case errors.Is(err, errNeedsStart):
		d.fail("keys", "the store has no usable keys.", startServerAdvice)
		return
	case errors.Is(err, sqlite.ErrDamaged):
		d.fail("store", errorLine(err), restoreBackupAdvice)
		return
	}
	if err != nil {
		d.fail("store", errorLine(err),
			"Check that the data directory and its master key belong together and that this user "+
				"owns them.")
		return
	}
	defer s.close()
	if err := s.store.Check(ctx); err != nil {
		d.fail("store", err.Error(), restoreBackupAdvice)
		return
	}
	d.pass("store", p.settings.databaseName()+" is intact and of this release")
	for _, warning := range storeWarnings(ctx, s.store) {
		d.warn("store", oneLine(warning), "")
	}
	d.checkKeys(ctx, s.engine)
	d.checkOutbox(ctx, s.engine)
	d.checkRestore(ctx, s.operator)
	d.checkStrandedUsers(ctx, s, p.settings)
	d.checkAdministration(ctx, s, p.settings)
}

// startServerAdvice is the advice for missing keys. `watchword doctor` only reads the store, so
// it can't create the keys.
const startServerAdvice = "Start the server, which creates keys. Then run `watchword doctor` again."

// maxUsualKeys is the number of keys for one purpose (KeyUse) above which `watchword doctor`
// warns. No reasonable schedule creates so many keys. There can be at most 255 refresh keys,
// because their numbers are 1 to 255.
const maxUsualKeys = 100

// checkKeys checks that there is an active key for each purpose (KeyUse), and that the clock
// was not set back. A server whose clock was set back rejects its own tokens as not yet valid.
// The time at which a key was published is never in the future. If it is, the clock was set
// back.
func (d *checkup) checkKeys(ctx context.Context, engine *watchword.Engine) {
	keys, err := engine.Operator().Keys(ctx)
	if err != nil {
		d.fail("keys", errorLine(err), "See what the log of the server says.")
		return
	}
	now := time.Now().Add(-engine.ClockAhead())
	states, uses := map[string]int{}, map[watchword.KeyUse]int{}
	for _, k := range keys {
		states[string(k.Use)+" "+k.State]++
		uses[k.Use]++
		// One minute covers the difference between clocks that are kept by NTP.
		if k.PublishedAt.After(now.Add(time.Minute)) {
			d.fail("clock", fmt.Sprintf("a key was published at %s, which is in the future: the clock was set back.",
				tableTime(k.PublishedAt)), "Set the clock; use NTP.")
			return
		}
	}
	d.pass("clock", tableTime(now)+", not before the last time in the store")
	// The servers use the database's clock, so the difference does not harm them. `watchword
	// doctor` reports it, because logs and certificates use the machine's clock.
	if ahead := engine.ClockAhead().Round(time.Millisecond); ahead.Abs() > time.Second {
		d.warn("clock", fmt.Sprintf("this machine's clock differs by %s from the database's, which the servers follow.",
			ahead.Abs()), "Set both clocks; use NTP.")
	}
	for _, use := range []watchword.KeyUse{watchword.KeySign, watchword.KeyRefresh} {
		if states[string(use)+" active"] == 0 {
			d.fail("keys", "no key of use "+string(use)+" is active.",
				startServerAdvice)
			return
		}
	}
	for use, n := range uses {
		if n > maxUsualKeys {
			d.warn("keys", fmt.Sprintf("there are %d keys of use %s; the limit is 255.", n, use),
				"Rotate less often: `watchword keys list` shows when they are deleted.")
		}
	}
	d.pass("keys", fmt.Sprintf("one key of each use is active, %d in all", len(keys)))
}

// checkOutbox checks that the server can write, and that mail is sent. If a mail waits for 10
// minutes, the server does not run or the mail server refuses the mail. Shorter delays are
// normal, for example during a deployment or a restart of the mail server. Abandoned mails are
// only a warning, because the usual cause is an address that refuses mail.
func (d *checkup) checkOutbox(ctx context.Context, engine *watchword.Engine) {
	stats, err := engine.Stats(ctx)
	if stats.Store != nil {
		d.fail("writes", errorLine(stats.Store), "Free some disk space, or make the database writable.")
	}
	switch {
	case err != nil:
		d.fail("outbox", errorLine(err), "See what the log of the server says.")
	case stats.MailGivenUp > 0:
		d.warn("outbox", fmt.Sprintf("Abandoned mails: %d.", stats.MailGivenUp),
			"`watchword mail list` shows why. Then run `watchword mail retry`.")
	case stats.MailWaiting > 0 && time.Since(stats.MailOldest) > 10*time.Minute:
		d.warn("outbox", fmt.Sprintf("Waiting mails: %d, the oldest since %s.", stats.MailWaiting,
			tableTime(stats.MailOldest)), "Check that the server runs. `watchword mail list` shows the last error.")
	default:
		d.pass("outbox", fmt.Sprintf("waiting mails: %d", stats.MailWaiting))
	}
}
