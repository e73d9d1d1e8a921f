package userfile

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file assigns the columns of a file to fields. names.go has the well-known names of columns. state.go has the
// columns that say whether an account is disabled. nested.go has the nested values of JSON.

// credentials is the member of a Keycloak user that holds the passwords.
const credentials = "credentials"

// columns assigns the columns of one file to fields, and records which columns were used.
type columns struct {
	wanted    map[Field]string // columns that Options.Names chooses
	rules     []rule           // Options.Names for Disabled; nil: use well-known columns
	ignored   map[string]bool  // Options.Ignore
	now       time.Time
	rows      int
	system    *system
	known     map[string]use  // cached results of the method use
	seen      map[string]bool // top-level names in the file
	used      map[string]bool
	marked    map[Field]bool  // fields that were read; all columns for such a field count as used
	found     map[string]bool // columns of the options that exist in the file
	unsettled map[string]bool // unused columns that may say whether an account is disabled or verified
	hashes    map[string]bool // unused columns that look like password hashes
}

// A use describes what a column can contain, according to its name. If several columns can be used for a field, the
// column with the lowest rank is preferred.
type use struct {
	field    Field // empty: the name is not well known
	at       int   // index of the field in wellKnown
	rank     int
	state    meaning // how the column says who is disabled; 0: not a known column
	suggests bool    // the name suggests that the column says who is disabled
	verified bool    // the name suggests a verified address
}

// maxNames bounds the memory for names, because each account in JSON may have new names.
const maxNames = 1000

// rowsToRecognise is the number of accounts at the start of a file from which its system is recognized.
const rowsToRecognise = 100

func newColumns(o Options) *columns {
	c := &columns{
		wanted: o.Names, ignored: map[string]bool{}, now: o.Now, system: systemCalled(o.From), known: map[string]use{},
		seen: map[string]bool{},
		used: map[string]bool{}, marked: map[Field]bool{}, found: map[string]bool{}, unsettled: map[string]bool{},
		hashes: map[string]bool{},
	}
	if c.now.IsZero() {
		c.now = time.Now()
	}
	for _, name := range o.Ignore {
		c.ignored[name] = true
	}
	if text := o.Names[Disabled]; text != "" && text != "-" {
		for line := range strings.Lines(text) {
			c.rules = append(c.rules, parseRules(strings.TrimSpace(line))...)
		}
	}
	return c
}

// addHeader records the names in a CSV header.
func (c *columns) addHeader(header []string) {
	for _, name := range header {
		if name != "" {
			c.see(name)
			c.found[name] = true
		}
	}
}

func (c *columns) see(name string) {
	if len(c.seen) < maxNames {
		c.seen[name] = true
	}
}

// serves reports whether the column with that name is read for the field.
func (c *columns) serves(name string, f Field) bool {
	if wanted, ok := c.wanted[f]; ok {
		return wanted == name
	}
	return c.use(name).field == f
}

// use returns how a column with that name can be used, as a value of the type use.
func (c *columns) use(name string) use {
	u, ok := c.known[name]
	if !ok {
		u = lookUp(name)
		u.state, u.verified = meaningOf(name), suggestsVerified(name)
		u.suggests = u.state != 0 || suggestsState(name, nil)
		if len(c.known) < maxNames {
			c.known[name] = u
		}
	}
	return u
}

// A pick is the column from which a field of one account is read. Its name is empty if no column was found.
type pick struct {
	name  string // as in the file, with dots if nested
	value any
	rank  int
}

// picks has one pick for each field, in the order of wellKnown.
type picks [len(wellKnown)]pick

func (p *picks) of(f Field) *pick {
	return &p[slices.IndexFunc(wellKnown[:], func(k known) bool { return k.field == f })]
}

// picks chooses a column for each field by its well-known names.
func (c *columns) picks(values map[string]any) (found picks) {
	for name, value := range values {
		u := c.use(name)
		if _, wanted := c.wanted[u.field]; wanted || u.field == "" || c.ignored[name] {
			continue
		}
		if _, object := unwrapped(value).(map[string]any); object && u.field != CreatedAt && u.field != ID &&
			u.field != Roles {
			continue // an object: its members count as columns
		}
		best := &found[u.at]
		if best.name == "" || c.better(u, value, best) {
			*best = pick{name, value, u.rank}
		}
	}
	return found
}

// better reports whether a column is better than the best column so far, which is the argument than. A column with a
// value is better than a column without one. If both or neither have a value, the column with the lower rank is
// better.
func (c *columns) better(u use, value any, than *pick) bool {
	least := 0 // a column with a rank lower than least is better than any other column, even without a value
	switch u.field {
	case EmailVerified:
		least = 2 * len(emailVerifiedNames)
	case PasswordHash:
		least = 2 * len(passwordNames)
	}
	if (u.rank < least) != (than.rank < least) {
		return u.rank < least
	}
	return absent(than.value) && !absent(value) || absent(than.value) == absent(value) && u.rank < than.rank
}

// choose replaces the picks of fields for which the options or the rules of the system specify a column. The options
// take precedence.
func (c *columns) choose(found *picks, all, values map[string]any) {
	for field, name := range c.wanted {
		if field == Disabled || field == EmailVerified {
			continue
		}
		if value, ok := c.named(name, all, values); ok {
			*found.of(field) = pick{name, value, 0}
		}
	}
	if c.system == nil {
		return
	}
	for field, wanted := range c.system.names {
		if _, named := c.wanted[field]; named {
			continue
		}
		p := found.of(field)
		for name, value := range all {
			if folded(name) == folded(wanted) && !absent(value) {
				*p = pick{name, value, 0}
			}
		}
		if wanted == "-" {
			*p = pick{}
		}
	}
}

// named returns the value in the column that an option names. The column may be a member of a nested object.
func (c *columns) named(name string, all, values map[string]any) (value any, ok bool) {
	if value, _, ok = member(values, name); !ok {
		value, ok = all[name]
	}
	c.found[name] = c.found[name] || ok
	return value, ok
}

// member returns the value at a name or a path with dots, and its top-level name.
func member(values map[string]any, path string) (value any, top string, ok bool) {
	if value, ok = values[path]; ok {
		return value, path, true
	}
	top, rest, nested := strings.Cut(path, ".")
	if !nested {
		return nil, "", false
	}
	switch inner := values[top].(type) {
	case map[string]any:
		value, _, ok = member(inner, rest)
	case []any: // emails.0.address
		byNumber := make(map[string]any, len(inner))
		for i, each := range inner {
			byNumber[strconv.Itoa(i)] = each
		}
		value, _, ok = member(byNumber, rest)
	}
	return value, top, ok
}

// read converts the values of an account into a Row.
func (c *columns) read(values map[string]any) Row {
	c.objectsAsText(values)
	for name, value := range values {
		values[name] = withoutNull(value)
		c.see(name)
		c.found[name] = c.found[name] || c.ignored[name]
	}
	all := withNested(values)
	if c.rows++; c.system == nil && c.rows <= rowsToRecognise {
		c.system = recogniseSystem(all)
	}
	r := reading{columns: c, values: values, all: all, picks: c.picks(all)}
	c.choose(&r.picks, all, values)
	r.row.ID = take(&r, ID, idOf, notText)
	r.row.Email = r.text(Email)
	r.password()
	r.names()
	r.verified()
	r.disabled()
	r.factors()
	r.metadata()
	r.row.CreatedAt = take(&r, CreatedAt, timeOf, notTime)
	if pick, ok := r.pick(Locale); ok {
		r.row.Locale, _ = textOf(pick.value)
	}
	if pick, ok := r.pick(Roles); ok {
		var problem string
		if r.row.Roles, problem = rolesOf(pick.value); problem != "" {
			r.problem(Roles, problem)
		}
	}
	r.unsettled()
	return r.row
}

// usage returns the used and the unused columns, sorted.
func (c *columns) usage() (used, unused []string) {
	for _, name := range slices.Sorted(maps.Keys(c.seen)) {
		if c.used[name] || c.marked[c.use(name).field] {
			used = append(used, name)
		} else {
			unused = append(unused, name)
		}
	}
	return used, unused
}

// missing returns the columns in the options that no account had, sorted, or nil.
func (c *columns) missing() (names []string) {
	for field, name := range c.wanted {
		switch {
		case name == "-":
		case field == Disabled || field == EmailVerified:
			for line := range strings.Lines(name) {
				for _, from := range parseRules(strings.TrimSpace(line)) {
					names = append(names, from.column)
				}
			}
		default:
			names = append(names, name)
		}
	}
	names = slices.AppendSeq(names, maps.Keys(c.ignored))
	names = slices.DeleteFunc(names, func(name string) bool { return c.found[name] })
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return slices.Compact(names)
}
