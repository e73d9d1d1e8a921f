package userfile

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Which column is what. Names are compared as they are first, and then without
// case, blanks, hyphens and underscores: "Password Hash" is password_hash.

// A known column is what others call a field.
type known struct {
	field    Field
	names    []string // the better ones first; of a row the first that says something is taken
	inverted []string // that say the opposite
}

// credentials is where Keycloak keeps passwords.
const credentials = "credentials"

// wellKnown are the names that need no flag. First and last names come before
// whole ones, which are often the name at sign-in.
var wellKnown = [...]known{
	{field: ID, names: []string{"id", "_id", "localId", "uid"}},
	{field: Email, names: []string{"email", "emailAddress"}},
	{field: PasswordHash, names: []string{"passwordHash", "hashedPassword", "encryptedPassword", "password"}},
	{field: Salt, names: []string{"salt", "passwordSalt"}},
	{field: FirstName, names: []string{"firstName", "givenName"}},
	{field: LastName, names: []string{"lastName", "familyName"}},
	{field: Name, names: []string{"name", "displayName", "fullName", "username"}},
	{field: EmailVerified, names: []string{"emailVerifiedAt", "emailVerified", "isEmailVerified", "emailConfirmedAt"}},
	{field: Roles, names: []string{"roles", "role", "realmRoles"}},
	{field: CreatedAt, names: []string{"createdAt", "createdTimestamp", "dateJoined"}},
	{field: Disabled, names: []string{"disabledAt", "disabled", "isDisabled"}, inverted: []string{"enabled", "isActive"}},
}

// columns tells the columns of one file apart.
type columns struct {
	wanted map[Field]string // by Options.Names
	served map[string]use   // by the names that were seen
	used   map[string]bool
	marked map[Field]bool // whose other columns say the same
	found  map[Field]bool // of wanted
}

// A use is what a column may be used for: the lower rank the better.
type use struct {
	field    Field // empty: none
	at       int   // of the field in wellKnown
	rank     int
	inverted bool
}

// maxNames is how many names are kept: JSON may have new ones in each account.
const maxNames = 1000

func newColumns(names map[Field]string) *columns {
	return &columns{
		wanted: names, served: map[string]use{}, used: map[string]bool{}, marked: map[Field]bool{}, found: map[Field]bool{},
	}
}

// announce takes note of the names in a header.
func (c *columns) announce(header []string) {
	for _, name := range header {
		if name != "" {
			c.use(name)
		}
	}
	for field, name := range c.wanted {
		c.found[field] = c.found[field] || slices.Contains(header, strings.TrimPrefix(name, "!"))
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
	u, ok := c.served[name]
	if !ok {
		u = lookUp(name)
		if len(c.served) < maxNames {
			c.served[name] = u
		}
	}
	return u
}

func lookUp(name string) use {
	for worse, fold := range []func(string) string{strings.Clone, folded} {
		for at, k := range &wellKnown {
			for i, each := range slices.Concat(k.names, k.inverted) {
				if fold(each) == fold(name) {
					return use{field: k.field, at: at, rank: 2*i + worse, inverted: i >= len(k.names)}
				}
			}
		}
	}
	return use{}
}

var plainName = strings.NewReplacer("_", "", "-", "", " ", "")

func folded(name string) string { return strings.ToLower(plainName.Replace(name)) }

// A pick is the column that a field of an account is read from; without a name
// there is none.
type pick struct {
	name     string
	value    any
	rank     int
	inverted bool
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
		if _, wanted := c.wanted[u.field]; wanted || u.field == "" {
			continue
		}
		best := &found[u.at]
		better := best.name == "" || absent(best.value) && !absent(value) || absent(best.value) == absent(value) && u.rank < best.rank
		if better {
			*best = pick{name, value, u.rank, u.inverted}
		}
	}
	for field, name := range c.wanted {
		name, inverted := strings.CutPrefix(name, "!")
		if value, top, ok := member(values, name); ok {
			*found.of(field) = pick{top, value, 0, inverted || field == Disabled && lookUp(name).inverted}
			c.found[field] = true
		}
	}
	return found
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
	r := reading{columns: c, picks: c.picks(values)}
	r.row.ID = take(&r, ID, idOf, notText)
	r.row.Email = r.text(Email)
	r.row.Hash = r.text(PasswordHash)
	r.row.Salt = r.text(Salt)
	if list, ok := values[credentials]; ok && r.row.Hash == "" && c.wanted[PasswordHash] == "" {
		c.used[credentials] = true
		r.row.Keycloak = keycloakOf(list)
	}
	r.names()
	r.row.Verified = r.mark(EmailVerified)
	r.row.Disabled = r.mark(Disabled)
	r.row.CreatedAt = take(&r, CreatedAt, timeOf, notTime)
	if pick, ok := r.pick(Roles); ok {
		var problem string
		if r.row.Roles, problem = rolesOf(pick.value); problem != "" {
			r.problem(Roles, problem)
		}
	}
	return r.row
}

// reading is an account that becomes a row.
type reading struct {
	columns *columns
	picks   picks
	row     Row
}

func (r *reading) pick(f Field) (*pick, bool) {
	p := r.picks.of(f)
	if p.name == "" {
		return p, false
	}
	r.columns.used[p.name] = true
	return p, true
}

func (r *reading) problem(f Field, text string) {
	r.row.Problems = append(r.row.Problems, Problem{f, text})
}

func take[T any](r *reading, f Field, read func(any) (T, bool), otherwise string) (value T) {
	pick, ok := r.pick(f)
	if !ok {
		return value
	}
	if value, ok = read(pick.value); !ok {
		r.problem(f, otherwise)
	}
	return value
}

func (r *reading) text(f Field) string { return take(r, f, textOf, notText) }

// names reads either a first and a last name or a whole one, unless both were
// asked for.
func (r *reading) names() {
	_, whole := r.columns.wanted[Name]
	_, first := r.columns.wanted[FirstName]
	_, last := r.columns.wanted[LastName]
	if !whole || first || last {
		r.row.First, r.row.Last = r.text(FirstName), r.text(LastName)
	}
	if whole || r.row.First+r.row.Last == "" {
		r.row.Name = r.text(Name)
	}
}

func (r *reading) mark(f Field) Mark {
	pick, ok := r.pick(f)
	if !ok || absent(pick.value) || pick.value == any("NULL") {
		return Mark{}
	}
	r.columns.marked[f] = true
	mark, ok := markOf(pick.value)
	if !ok {
		r.problem(f, notBool)
	}
	if pick.inverted {
		return Mark{Set: !mark.Set}
	}
	return mark
}

func (c *columns) told() (used, unused []string) {
	for _, name := range slices.Sorted(maps.Keys(c.served)) {
		if c.used[name] || c.marked[c.served[name].field] {
			used = append(used, name)
		} else {
			unused = append(unused, name)
		}
	}
	return used, unused
}

func (c *columns) missing() (names []string) {
	for field, name := range c.wanted {
		if name != "-" && !c.found[field] {
			names = append(names, strings.TrimPrefix(name, "!"))
		}
	}
	slices.Sort(names)
	return names
}
