package userfile

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Which column is what. names.go has the names, state.go what they say of the account,
// nested.go what lies within JSON.

// credentials is where Keycloak keeps passwords.
const credentials = "credentials"

// columns tells the columns of one file apart.
type columns struct {
	wanted    map[Field]string // by Options.Names
	rules     []rule           // by Options.Names, of Disabled; nil: what is known
	ignored   map[string]bool  // by Options.Ignore
	now       time.Time
	rows      int
	system    *system
	known     map[string]use  // a cache of lookUp
	seen      map[string]bool // the names that the file has, without those that are nested
	used      map[string]bool
	marked    map[Field]bool  // whose other columns say the same
	found     map[string]bool // of the columns that were named, those that are there
	unsettled map[string]bool // columns that may say who is disabled or verified
	hashes    map[string]bool // columns that look like password hashes, if none was read
}

// A use is what a column may be used for: the lower rank the better.
type use struct {
	field    Field // empty: none
	at       int   // of the field in wellKnown
	rank     int
	state    meaning // of a column that says who is disabled; 0: it is not known to
	speaks   bool    // of a state
	verified bool    // it speaks of what is verified
}

// maxNames is how many names are kept: JSON may have new ones in each account.
const maxNames = 1000

// rowsToRecognise is how many accounts are looked at to recognise the system.
const rowsToRecognise = 100

func newColumns(o Options) *columns {
	c := &columns{
		wanted: o.Names, ignored: map[string]bool{}, now: o.Now, system: systemCalled(o.From), known: map[string]use{}, seen: map[string]bool{},
		used: map[string]bool{}, marked: map[Field]bool{}, found: map[string]bool{}, unsettled: map[string]bool{}, hashes: map[string]bool{},
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

// announce takes note of the names in a header.
func (c *columns) announce(header []string) {
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

// serves reports whether a field may be read from a column.
func (c *columns) serves(name string, f Field) bool {
	if wanted, ok := c.wanted[f]; ok {
		return wanted == name
	}
	return c.use(name).field == f
}

// use looks up a name, once.
func (c *columns) use(name string) use {
	u, ok := c.known[name]
	if !ok {
		u = lookUp(name)
		u.state, u.verified = meaningOf(name), speaksOfVerified(name)
		u.speaks = u.state != 0 || speaksOfState(name, nil)
		if len(c.known) < maxNames {
			c.known[name] = u
		}
	}
	return u
}

// A pick is the column that a field of an account is read from; without a name
// there is none.
type pick struct {
	name  string // as in the file, with dots for what is nested
	value any
	rank  int
}

// picks are in the order of wellKnown.
type picks [len(wellKnown)]pick

func (p *picks) of(f Field) *pick {
	return &p[slices.IndexFunc(wellKnown[:], func(k known) bool { return k.field == f })]
}

// picks finds a column for each field.
func (c *columns) picks(values map[string]any) (found picks) {
	for name, value := range values {
		u := c.use(name)
		if _, wanted := c.wanted[u.field]; wanted || u.field == "" || c.ignored[name] {
			continue
		}
		if _, object := unwrapped(value).(map[string]any); object && u.field != CreatedAt && u.field != ID && u.field != Roles {
			continue // its members have names of their own
		}
		best := &found[u.at]
		if best.name == "" || c.better(u, value, best) {
			*best = pick{name, value, u.rank}
		}
	}
	return found
}

// better reports whether a column says more than the one that was found before.
func (c *columns) better(u use, value any, than *pick) bool {
	least := 0 // the rank of names that count only where no better one is there
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

// choose reads the fields that were named from the columns that were named for them.
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

// named finds the value of a column that was named, or of what is nested in one.
func (c *columns) named(name string, all, values map[string]any) (value any, ok bool) {
	if value, _, ok = member(values, name); !ok {
		value, ok = all[name]
	}
	c.found[name] = c.found[name] || ok
	return value, ok
}

// member finds a value by a name, or by a path with dots, and the name of the
// member that it lies in.
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

// read makes a row of the values of an account.
func (c *columns) read(values map[string]any) Row {
	for name, value := range values {
		values[name] = withoutNull(value)
		c.see(name)
		c.found[name] = c.found[name] || c.ignored[name]
	}
	all := flat(values)
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
	r.row.CreatedAt = take(&r, CreatedAt, timeOf, notTime)
	if pick, ok := r.pick(Roles); ok {
		var problem string
		if r.row.Roles, problem = rolesOf(pick.value); problem != "" {
			r.problem(Roles, problem)
		}
	}
	r.unsettled()
	return r.row
}

func (c *columns) told() (used, unused []string) {
	for _, name := range slices.Sorted(maps.Keys(c.seen)) {
		if c.used[name] || c.marked[c.use(name).field] {
			used = append(used, name)
		} else {
			unused = append(unused, name)
		}
	}
	return used, unused
}

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
