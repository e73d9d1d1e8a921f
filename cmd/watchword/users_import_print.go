package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/cmd/internal/userimport"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// importPrinter prints an import: each problem when it is found, and a summary at the end. It
// shows addresses and never a hash. It implements userimport.Observer, because package
// userimport does not depend on terminals or output formats. It has no rules about accounts.
type importPrinter struct {
	program *program
	command *userImport
	size    int64 // size of the file; -1: unknown

	progress        *fileProgress
	problemsPrinted int // in the JSON document so far
}

// maxSectionLines bounds a section of the summary. If each account of a file has a different
// role, a longer section would push the rest off the screen.
const maxSectionLines = 20

// Begin starts a progress bar for each phase, because each phase reads the whole file. The
// labels of the two phases have the same width, so the bar does not jump.
func (w *importPrinter) Begin(phase userimport.Phase) {
	doing := "Checking "
	if phase == userimport.Importing {
		doing = "Importing"
	}
	w.progress = w.program.newFileProgress(doing, w.size)
}

// Progress draws the bar again after each batch. End removes it when a pass over the file is
// over.
func (w *importPrinter) Progress(bytes int64, accounts int) { w.progress.update(bytes, accounts) }
func (w *importPrinter) End()                               { w.progress.clear() }

// Problem prints the place first, as compilers do, so that editors can jump to it. The text may
// quote the file, so it is made printable. A problem never quotes a hash or a password.
func (w *importPrinter) Problem(at userfile.Place, p userimport.Problem) {
	w.progress.clear()
	if w.command.JSON {
		w.printProblemJSON(at, p)
		return
	}
	w.program.say("%s: %s", at, p.String())
}

// printProblemJSON writes one problem at once, because the whole list may be too long to keep
// in memory. The list is the first member of the document. If the program is killed, the
// document is incomplete and no JSON parser accepts it. A script therefore never mistakes an
// incomplete list for a complete one.
func (w *importPrinter) printProblemJSON(place userfile.Place, p userimport.Problem) {
	line, err := json.Marshal(struct {
		Line    int    `json:"line"`
		Account int    `json:"account"`
		Field   string `json:"field,omitempty"`
		Problem string `json:"problem"`
	}{place.Line, place.Number, p.Field, printable(p.Detail())})
	if err != nil {
		panic(err) // numbers and strings can always be encoded
	}
	separator := ","
	if w.problemsPrinted == 0 {
		separator = "{\n  \"problems\": ["
	}
	w.problemsPrinted++
	fmt.Fprintf(w.program.out, "%s\n    %s", separator, line)
}

// printSummary prints the result of a run. runErr is the error that ended the run, or nil; the
// caller prints this error. The counts of a run that failed early are not useful, so
// printSummary prints no counts for such a run. The order follows the operator's questions: how
// many accounts, which problems, who can sign in, and which columns were misunderstood.
func (w *importPrinter) printSummary(r *userimport.Report, runErr error) {
	if w.command.JSON {
		w.printSummaryJSON(r, runErr)
		return
	}
	if runErr != nil && (r.Accounts == 0 || r.Stopped) {
		return
	}
	p := w.program
	if r.Bad > 0 && !r.Unlisted {
		p.say("")
	}
	source := w.command.File
	if source == "-" {
		source = "standard input"
	}
	p.say("%s read from %s", userimport.Accounts(r.Accounts), source)
	w.printCount(r, r.Done, outcomeLabel(r))
	if r.Existing > 0 {
		w.printCount(r, r.Existing, "already exist, left unchanged")
	}
	if r.Bad > 0 {
		w.printCount(r, r.Bad, "with problems")
	}
	w.printCounts(r, "Problems", r.Kinds)
	p.say("Verified: %d of %d. Disabled: %d of %d.", r.Verified, r.Done, r.Disabled, r.Done)
	w.printCounts(r, "Passwords", r.Passwords)
	w.printCounts(r, "Roles", r.Roles)
	// The operator compares these counts with those of the other system.
	w.printCounts(r, "Second factors", r.Factors)
	if r.Metadata > 0 {
		p.say("With metadata: %d", r.Metadata)
	}
	if r.IDsKept+r.IDsNew > 0 {
		p.say("Ids: %d kept, %d new", r.IDsKept, r.IDsNew)
	}
	for _, list := range []struct {
		title string
		names []string
	}{
		{"Columns used", r.ColumnsUsed},
		{"Columns not used", r.ColumnsUnused},
		{"Columns not found", r.ColumnsMissing},
		{"Columns that may say who is disabled or verified", r.ColumnsUnsettled},
		{"Columns that look like password hashes and are not read", r.ColumnsWithHashes},
	} {
		if list.names != nil {
			p.say("%s: %s", list.title, strings.Join(list.names, ", "))
		}
	}
	w.printAdvice(r)
}

// outcomeLabel returns "imported" after an import, and "ready" after a dry run. It is the label
// of the count Report.Done in the summary, and the name of its member in the JSON document. A
// script can therefore tell whether the run was a dry run.
func outcomeLabel(r *userimport.Report) string {
	if r.Imported {
		return "imported"
	}
	return "ready"
}

// printCounts prints the largest count first. Equal counts are sorted by name, so that two runs
// print the same lines.
func (w *importPrinter) printCounts(r *userimport.Report, title string, counts map[string]int) {
	if len(counts) == 0 {
		return
	}
	w.program.say("%s", title)
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(a, b))
	})
	for _, name := range names[:min(len(names), maxSectionLines)] {
		w.printCount(r, counts[name], name)
	}
	if more := len(names) - maxSectionLines; more > 0 {
		w.program.say("  … and %d more", more)
	}
}

// printCount prints the count n and its label. The column is wide enough for the largest
// possible count: the number of accounts in the file.
func (w *importPrinter) printCount(r *userimport.Report, n int, what string) {
	w.program.say("  %*d  %s", len(fmt.Sprint(r.Accounts)), n, what)
}

// printAdvice chooses each hint by the content of the file, because operators would ignore a
// fixed list after the second run. Every hint names the flag to write, so that the operator
// does not have to search the help.
func (w *importPrinter) printAdvice(r *userimport.Report) {
	p, c := w.program, w.command
	if r.System != "" && c.From == "" {
		p.say("Read as a file of %s. If another system wrote it, name it with --from.", r.System)
	}
	// The file does not show a wrong prehash or pepper. Without this hint, the operator would
	// hear of the mistake from users after the import.
	if r.Done > r.NoPassword && !r.Imported {
		p.say("No password was tried. Try one that you know with --try EMAIL.")
	}
	// The file does not show whether a pepper was used, so this hint appears for each file of
	// Devise.
	if r.System == "devise" && c.PepperFile == "" {
		p.say("Devise: if config.pepper is set, name a file that holds it with --pepper-file. Without it, no user can sign " +
			"in.")
	}
	if r.ColumnsUnsettled != nil {
		p.say("Name the columns that say who is disabled with --disabled or --verified, or exclude them with --ignore %s.",
			printable(strings.Join(r.ColumnsUnsettled, ",")))
	}
	if r.BadHashes > 0 && !c.NoHash {
		p.say("With --drop-bad-hashes, accounts whose hash can't be checked are imported without a password.")
	}
	if r.NoPassword > 0 {
		p.say("Without a password: %d. These users choose one with \"forgot password\". No mail is sent now.", r.NoPassword)
	}
	// The operator can still export the secrets from the other system, so that these accounts
	// keep their second factor.
	if r.LostFactors > 0 {
		p.say("Two-step sign-in without a secret in the file: %d. These users sign in with the password alone, until they "+
			"set it up again.", r.LostFactors)
	}
	// Recovery codes can't be moved. If a user loses the app before creating new codes, only an
	// operator can help.
	if len(r.Factors) > 0 {
		p.say("Imported second factors have no recovery codes. Their users create them on the account page.")
	}
	if r.IDsNew > 0 && c.IDMap == "" {
		p.say("With --id-map FILE, the command writes a table of old and new ids, also in a later run.")
	}
	if r.IDsElsewhere > 0 && c.System == "" {
		p.say("If these ids come from a different system than an earlier import, name it with --system NAME.")
	}
	if r.Unverified > 0 && p.settings.Signup == string(watchword.SignupVerified) {
		p.say("Not verified: %d. With signup=verified, these users can't sign in until they verify. "+
			"If the other system verified them, write --assume-verified.", r.Unverified)
	}
	if !r.Imported {
		p.say("Nothing was changed.")
	}
}

// printSummaryJSON ends the document that printProblemJSON began. The document is written in
// pieces, because each problem is written when it is found. The order of the members is fixed,
// so that two runs can be compared. If the run failed, the document is also complete. It has
// the member error, and the counts up to the failure.
func (w *importPrinter) printSummaryJSON(r *userimport.Report, runErr error) {
	out := w.program.out
	reason := ""
	if runErr != nil {
		reason = errorLine(runErr)
	}
	// Scripts iterate over the lists, and some scripts would fail at null.
	notNull := func(names []string) []string { return append([]string{}, names...) }
	if w.problemsPrinted == 0 {
		io.WriteString(out, "{\n  \"problems\": [") //nolint:errcheck // failed writes to the output are ignored
	} else {
		io.WriteString(out, "\n  ") //nolint:errcheck // failed writes to the output are ignored
	}
	io.WriteString(out, "]") //nolint:errcheck // failed writes to the output are ignored
	for _, member := range []struct {
		name  string
		value any
	}{
		{"error", reason}, {"accounts", r.Accounts}, {outcomeLabel(r), r.Done}, {"there", r.Existing}, {"bad", r.Bad},
		{"verified", r.Verified}, {"disabled", r.Disabled}, {"system", r.System},
		{"kinds", r.Kinds}, {"passwords", r.Passwords}, {"roles", r.Roles},
		{"secondFactors", r.Factors}, {"secondFactorsLost", r.LostFactors}, {"metadata", r.Metadata},
		{"idsKept", r.IDsKept}, {"idsNew", r.IDsNew},
		{"columnsUsed", notNull(r.ColumnsUsed)}, {"columnsNotUsed", notNull(r.ColumnsUnused)},
		{"columnsMissing", notNull(r.ColumnsMissing)}, {"columnsUnsettled", notNull(r.ColumnsUnsettled)},
		{"columnsWithHashes", notNull(r.ColumnsWithHashes)},
	} {
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		// Column names with & or < stay readable.
		enc.SetEscapeHTML(false)
		enc.SetIndent("  ", "  ")
		if err := enc.Encode(member.value); err != nil {
			panic(err) // numbers, strings and maps of them can always be encoded
		}
		fmt.Fprintf(out, ",\n  %q: %s", member.name, bytes.TrimSpace(text.Bytes()))
	}
	io.WriteString(out, "\n}\n") //nolint:errcheck // failed writes to the output are ignored
}
