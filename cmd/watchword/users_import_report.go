package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// What an import tells: each problem as it is found, and at the end how many of
// what there were. No hash is ever shown; an address is.

// An importProblem is one thing that is wrong with one account.
type importProblem struct {
	Field  string // empty: the whole account
	Kind   string // what problems are counted by
	detail string // Kind with what it is about; empty: there is no more to it
}

const sameInFile = "the same as that of another account in the file"

func (p importProblem) kind() string { return join(p.Field, p.Kind) }
func (p importProblem) text() string { return join(p.Field, cmp.Or(p.detail, p.Kind)) }

func join(field, text string) string {
	if field == "" {
		return text
	}
	return field + ": " + text
}

// problemsOf says in the words of a list what the engine says to people.
func problemsOf(fields []watchword.FieldError, u watchword.ImportedUser) (problems []importProblem) {
	for _, f := range fields {
		p := importProblem{Field: f.Field, Kind: asPhrase(f.Message)}
		if strings.HasSuffix(p.Kind, " out") { // "leave it out"
			p.Kind += " with --skip-bad"
		}
		switch {
		case f.Field == "verifiedAt":
			p.Field = string(userfile.EmailVerified)
		case f.Field == "disabledAt":
			p.Field = string(userfile.Disabled)
		case f.Field == "email" && f.Code == watchword.FieldRequired:
			p.Kind = "missing"
		case f.Field == "email" && f.Code == watchword.FieldInvalid:
			p.Kind = "not an e-mail address"
			p.detail = p.Kind + shownEmail(u.Email)
		case f.Field == "email" && f.Code == watchword.FieldTaken: // so it is one
			p.detail = short(u.Email) + ": " + p.Kind
		case f.Field == "roles":
			p.detail = p.Kind + shownRoles(u.Roles)
		}
		problems = append(problems, p)
	}
	return problems
}

// asPhrase makes a sentence part of a line.
func asPhrase(sentence string) string {
	first, size := utf8.DecodeRuneInString(sentence)
	return string(unicode.ToLower(first)) + strings.TrimSuffix(sentence[size:], ".")
}

// A value of the file is shown if it is plainly what it should be, with a slip. If
// columns were mixed up, it may be a password or a hash.

func shownEmail(text string) string {
	if len(text) > 64 || !strings.Contains(text, "@") || strings.Contains(text, "$") {
		return " (not shown: does --email name the right column?)"
	}
	return ": " + printable(text)
}

func shownRoles(roles []string) string {
	for _, role := range roles {
		if !showable(role) {
			return " (not shown: does --roles name the right column?)"
		}
	}
	return ", unlike: " + short(strings.Join(roles, ", "))
}

var (
	plainWord = regexp.MustCompile(`^[\pL\pN ._:/@-]{1,40}$`)
	hexDigits = regexp.MustCompile(`^[0-9A-Fa-f]{32,}$`)
)

// showable reports whether a text looks like the name of a role or a column.
func showable(text string) bool { return plainWord.MatchString(text) && !hexDigits.MatchString(text) }

// short is a value of the file as a line can hold it.
func short(text string) string {
	if len(text) > 100 {
		text = strings.ToValidUTF8(text[:100], "") + "…"
	}
	return printable(text)
}

// An importReport counts, and prints.
type importReport struct {
	program *program
	command *userImport
	begun   time.Time
	imports bool // else it is a check
	quiet   bool // lists nothing, for it will be listed later
	stopped bool // a check was: there is nothing to sum up
	listed  int  // problems in JSON

	rows, done, there, bad      int
	badHashes, unverified       int
	verified, disabled          int // of those done
	idsKept, idsNew             int // of those done
	idsElsewhere                int // not kept, and of an account that has another address or is gone
	kinds, passwords, roleCount map[string]int
	used, unused, missing       []string
	unsettled                   []string // columns whose names speak of a state
	hashes                      []string // columns that hold hashes by their looks, and were not read
	system                      string   // that the file was recognised as
}

func newImportReport(p *program, c *userImport) *importReport {
	return &importReport{
		program: p, command: c, begun: time.Now(),
		kinds: map[string]int{}, passwords: map[string]int{}, roleCount: map[string]int{},
	}
}

// problem lists what is wrong with an account that is left out.
func (r *importReport) problem(c *candidate) {
	r.rows++
	r.bad++
	for _, p := range c.problems {
		r.kinds[p.kind()]++
		switch _, kept := c.user.KeptID(); {
		case p.Field == "passwordHash":
			r.badHashes++
		case p.Field == "id" && p.Kind != sameInFile && !kept:
			r.idsElsewhere++
		}
		switch {
		case r.quiet:
		case r.command.JSON:
			r.listJSON(c.row.Place, p)
		default:
			r.program.say("%s: %s", c.row.Place, p.text())
		}
	}
}

// settled counts an account that is good.
func (r *importReport) settled(c *candidate) {
	r.rows++
	if c.result.There {
		r.there++
		return
	}
	r.done++
	user := c.result.User
	if user.Verified() {
		r.verified++
	} else {
		r.unverified++
	}
	if user.Disabled() {
		r.disabled++
	}
	if _, kept := c.user.KeptID(); kept {
		r.idsKept++
	} else if c.user.ID != "" {
		r.idsNew++
	}
	kind := hashKind(user.PasswordHash)
	switch {
	case c.dropped:
		kind = droppedHash
	case c.row.Temporary:
		kind = temporaryHash
	}
	r.passwords[kind]++
	for _, role := range user.Roles {
		if hexDigits.MatchString(role) {
			role = "not shown: does --roles name the right column?"
		}
		if len(r.roleCount) < 1000 || r.roleCount[role] > 0 {
			r.roleCount[role]++
		}
	}
}

// hashKind names the kind of a hash in the stored form.
func hashKind(hash watchword.Secret) string {
	label, inner, labelled := strings.Cut(string(hash), "}")
	if labelled {
		name, _, _ := strings.Cut(strings.TrimPrefix(label, "{"), ":") // without the id of a pepper
		return hashKind(watchword.Secret(inner)) + " (" + name + ")"
	}
	kind, _, _ := strings.Cut(strings.TrimPrefix(string(hash), "$"), "$")
	switch kind {
	case "wp":
		return "bcrypt (WordPress)"
	case "5", "6":
		return "crypt(3) $" + kind + "$"
	case "":
		return "none"
	case "2a", "2b", "2y":
		return "bcrypt"
	}
	return kind
}

func (r *importReport) end(file *userfile.Reader) {
	r.used, r.unused = file.Columns()
	r.missing = file.Missing()
	r.unsettled = file.Unsettled()
	r.hashes = file.Hashes()
	r.system = file.System()
}

// incomplete reports whether a column that was named is not there, or one that may say
// who is disabled, or holds hashes, was not named.
func (r *importReport) incomplete() bool {
	return r.missing != nil || r.unsettled != nil || r.hashes != nil
}

// hashesError says what to do about columns that look like password hashes.
func hashesError(names []string) error {
	return fmt.Errorf("a column looks like password hashes, and is not read: %s. Name it with --password-hash COLUMN, or leave passwords out with --password-hash=-",
		printable(strings.Join(names, ", ")))
}

// unsettledError says what to do about columns whose names speak of a state.
func unsettledError(names []string) error {
	return fmt.Errorf("the name of a column speaks of a state, and it is not known which: %s. Name it with --disabled COLUMN (or --verified COLUMN), "+
		"or decline it with --ignore %s", printable(strings.Join(names, ", ")), printable(strings.Join(names, ",")))
}

// print sums up. failed is how it ended, if not well.
func (r *importReport) print(failed error) {
	if r.command.JSON {
		r.printJSON(failed)
		return
	}
	if failed != nil && (r.rows == 0 || r.stopped) {
		return
	}
	if r.bad > 0 && !r.quiet {
		r.program.say("")
	}
	r.program.say("%s read from %s", accounts(r.rows), r.command.source())
	r.line(r.done, r.verb())
	for _, other := range []struct {
		n    int
		what string
	}{{r.there, "there already, and left as they are"}, {r.bad, "with problems"}} {
		if other.n > 0 {
			r.line(other.n, other.what)
		}
	}
	r.section("Problems", r.kinds)
	r.program.say("Verified: %d of %d. Disabled: %d of %d.", r.verified, r.done, r.disabled, r.done)
	r.section("Passwords", r.passwords)
	r.section("Roles", r.roleCount)
	if r.idsKept+r.idsNew > 0 {
		r.program.say("Ids: %d kept, %d new", r.idsKept, r.idsNew)
	}
	for _, list := range []struct {
		title string
		names []string
	}{{"Columns used", r.used}, {"Columns not used", r.unused}, {"Columns that are not there", r.missing}, {"Columns that may say who is disabled or verified", r.unsettled}, {"Columns that look like password hashes, and are not read", r.hashes}} {
		if list.names != nil {
			r.program.say("%s: %s", list.title, printable(strings.Join(list.names, ", ")))
		}
	}
	r.advise()
}

func (c *userImport) source() string {
	if c.File == "-" {
		return "standard input"
	}
	return c.File
}

// maxLines is how many lines of a section there are at most.
const maxLines = 20

// none reports whether all accounts were left out.
func (r *importReport) none() bool { return r.done+r.there == 0 }

// verb is what becomes of good accounts.
func (r *importReport) verb() string {
	if r.imports {
		return "imported"
	}
	return "ready"
}

// section lists the largest numbers first.
func (r *importReport) section(title string, counts map[string]int) {
	if len(counts) == 0 {
		return
	}
	r.program.say("%s", title)
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(a, b))
	})
	for _, name := range names[:min(len(names), maxLines)] {
		r.line(counts[name], name)
	}
	if more := len(names) - maxLines; more > 0 {
		r.program.say("  … and %d others", more)
	}
}

// line is a number and what it counts.
func (r *importReport) line(n int, what string) {
	r.program.say("  %*d  %s", len(fmt.Sprint(r.rows)), n, printable(what))
}

const (
	droppedHash   = "none, for the hash was dropped"
	temporaryHash = "none, for the password was temporary"
)

// advise says what to know about hashes, passwords and addresses.
func (r *importReport) advise() {
	if r.system != "" && r.command.From == "" {
		r.program.say("Read as a file of %s. If another system wrote it, name that with --from.", r.system)
	}
	if n := r.done - r.passwords["none"] - r.passwords[droppedHash] - r.passwords[temporaryHash]; n > 0 && !r.imports {
		r.program.say("No password was tried. With --try EMAIL, one that you know shows whether they will fit.")
	}
	if r.system == "devise" && r.command.PepperFile == "" {
		r.program.say("Devise: if config.pepper is set, name a file that holds it with --pepper-file. Without it nobody can sign in.")
	}
	if r.unsettled != nil {
		r.program.say("Name the columns that say who is disabled with --disabled or --verified, or decline them with --ignore %s.", printable(strings.Join(r.unsettled, ",")))
	}
	if n := r.badHashes; n > 0 && !r.command.NoHash {
		r.program.say("With --drop-bad-hashes, accounts whose hash can't be checked are imported without a password.")
	}
	if n := r.passwords["none"] + r.passwords[droppedHash] + r.passwords[temporaryHash]; n > 0 {
		r.program.say("Without a password: %d. They choose one with \"forgot password\"; no mail is sent by itself.", n)
	}
	if r.idsNew > 0 && r.command.IDMap == "" {
		r.program.say("With --id-map FILE, a table of old and new ids is written; the same command writes it later, too.")
	}
	if r.idsElsewhere > 0 && r.command.System == "" {
		r.program.say("If those ids are of another system than that of an import before, name it: --system NAME.")
	}
	if r.unverified > 0 && r.program.settings.Signup == string(watchword.SignupVerified) {
		r.program.say("Not verified: %d, who with signup=verified can't sign in before they are. Write --assume-verified if they were elsewhere.", r.unverified)
	}
	if !r.imports {
		r.program.say("Nothing was changed.")
	}
}

// listJSON writes one problem of the list that the document begins with, which may
// be too long to be kept.
func (r *importReport) listJSON(at userfile.Place, p importProblem) {
	line, err := json.Marshal(struct {
		Line    int    `json:"line"`
		Account int    `json:"account"`
		Field   string `json:"field,omitempty"`
		Problem string `json:"problem"`
	}{at.Line, at.Number, p.Field, cmp.Or(p.detail, p.Kind)})
	if err != nil {
		panic(err) // numbers and strings always can be
	}
	separator := ","
	if r.listed == 0 {
		separator = "{\n  \"problems\": ["
	}
	r.listed++
	fmt.Fprintf(r.program.out, "%s\n    %s", separator, line)
}

func (r *importReport) printJSON(failed error) {
	why := ""
	if failed != nil {
		why = plain(failed)
	}
	summary := []member{
		{"error", why}, {"accounts", r.rows}, {r.verb(), r.done}, {"there", r.there}, {"bad", r.bad},
		{"verified", r.verified}, {"disabled", r.disabled}, {"system", r.system},
		{"kinds", r.kinds}, {"passwords", r.passwords}, {"roles", r.roleCount},
		{"idsKept", r.idsKept}, {"idsNew", r.idsNew},
		{"columnsUsed", list(r.used)}, {"columnsNotUsed", list(r.unused)}, {"columnsMissing", list(r.missing)}, {"columnsUnsettled", list(r.unsettled)}, {"columnsWithHashes", list(r.hashes)},
	}
	if r.listed == 0 {
		io.WriteString(r.program.out, "{\n  \"problems\": [") //nolint:errcheck // as everywhere in this program
	} else {
		io.WriteString(r.program.out, "\n  ") //nolint:errcheck // as above
	}
	io.WriteString(r.program.out, "]") //nolint:errcheck // as above
	for _, m := range summary {
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		enc.SetIndent("  ", "  ")
		if err := enc.Encode(m.value); err != nil {
			panic(err) // as above
		}
		fmt.Fprintf(r.program.out, ",\n  %q: %s", m.name, bytes.TrimSpace(text.Bytes()))
	}
	io.WriteString(r.program.out, "\n}\n") //nolint:errcheck // as above
}

// A member of a JSON object, in its order.
type member struct {
	name  string
	value any
}

func list(names []string) []string { return append([]string{}, names...) }
