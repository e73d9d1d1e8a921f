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

// keycloakCredentials is the member of a Keycloak user that holds the passwords.
const keycloakCredentials = "credentials"

// A columnMapping assigns the columns of one file to fields, and records which columns were used.
type columnMapping struct {
	namedColumns   map[Field]string // chosen by Options.Names
	disabledRules  []columnRule     // Options.Names for Disabled; nil: use well-known columns
	ignored        map[string]bool  // Options.Ignore
	now            time.Time
	rows           int
	system         *sourceSystem
	useByName      map[string]columnUse // cached results of useOf
	topLevelNames  map[string]bool
	usedColumns    map[string]bool
	readFields     map[Field]bool  // fields that were read; all columns for these fields count as used
	foundNamed     map[string]bool // columns of the options that exist in the file
	unsettledNames map[string]bool // unused columns that may say whether an account is disabled or verified
	hashColumns    map[string]bool // unused columns that look like password hashes
}

// A columnUse describes what a column can contain, according to its name. If several columns can be used for a field,
// the column with the lowest rank is preferred.
type columnUse struct {
	field            Field // empty: the name is not well known
	fieldIndex       int   // in wellKnown
	rank             int
	stateMeaning     columnMeaning // 0: not a column that says who is disabled
	suggestsDisabled bool
	suggestsVerified bool
}

// maxKnownNames bounds the memory for names, because each account in JSON may have new names.
const maxKnownNames = 1000

// rowsToRecognise is the number of accounts at the start of a file from which its system is recognized.
const rowsToRecognise = 100

func newColumns(o Options) *columnMapping {
	c := &columnMapping{
		namedColumns: o.Names, ignored: map[string]bool{}, now: o.Now, system: systemCalled(o.From),
		useByName: map[string]columnUse{}, topLevelNames: map[string]bool{},
		usedColumns: map[string]bool{}, readFields: map[Field]bool{}, foundNamed: map[string]bool{},
		unsettledNames: map[string]bool{}, hashColumns: map[string]bool{},
	}
	if c.now.IsZero() {
		c.now = time.Now()
	}
	for _, name := range o.Ignore {
		c.ignored[name] = true
	}
	if text := o.Names[Disabled]; text != "" && text != "-" {
		for line := range strings.Lines(text) {
			c.disabledRules = append(c.disabledRules, parseRules(strings.TrimSpace(line))...)
		}
	}
	return c
}

func (c *columnMapping) addHeader(header []string) {
	for _, name := range header {
		if name != "" {
			c.recordName(name)
			c.foundNamed[name] = true
		}
	}
}

func (c *columnMapping) recordName(name string) {
	if len(c.topLevelNames) < maxKnownNames {
		c.topLevelNames[name] = true
	}
}

func (c *columnMapping) isReadFor(name string, f Field) bool {
	if wanted, ok := c.namedColumns[f]; ok {
		return wanted == name
	}
	return c.useOf(name).field == f
}

func (c *columnMapping) useOf(name string) columnUse {
	u, ok := c.useByName[name]
	if !ok {
		u = lookUpUse(name)
		u.stateMeaning, u.suggestsVerified = meaningOf(name), suggestsVerified(name)
		u.suggestsDisabled = u.stateMeaning != 0 || suggestsState(name, nil)
		if len(c.useByName) < maxKnownNames {
			c.useByName[name] = u
		}
	}
	return u
}

// A pickedColumn is the column from which a field of one account is read. Its name is empty if no column was found.
type pickedColumn struct {
	name  string // as in the file, with dots if nested
	value any
	rank  int
}

// pickedColumns has one column for each field, in the order of wellKnown.
type pickedColumns [len(wellKnown)]pickedColumn

func (p *pickedColumns) columnOf(f Field) *pickedColumn {
	return &p[slices.IndexFunc(wellKnown[:], func(k fieldNames) bool { return k.field == f })]
}

func (c *columnMapping) pickWellKnown(values map[string]any) (found pickedColumns) {
	for name, value := range values {
		u := c.useOf(name)
		if _, wanted := c.namedColumns[u.field]; wanted || u.field == "" || c.ignored[name] {
			continue
		}
		if _, object := unwrapExtendedJSON(value).(map[string]any); object && u.field != CreatedAt && u.field != ID &&
			u.field != Roles {
			continue // an object: its members count as columns
		}
		best := &found[u.fieldIndex]
		if best.name == "" || c.isBetter(u, value, best) {
			*best = pickedColumn{name, value, u.rank}
		}
	}
	return found
}

// isBetter prefers a column with a value to a column without one. If both or neither have a value, the column with
// the lower rank is better.
func (c *columnMapping) isBetter(u columnUse, value any, best *pickedColumn) bool {
	lowestRank := 0 // a column with a rank below lowestRank is preferred, even if it is empty
	switch u.field {
	case EmailVerified:
		lowestRank = 2 * len(emailVerifiedNames)
	case PasswordHash:
		lowestRank = 2 * len(passwordNames)
	}
	if (u.rank < lowestRank) != (best.rank < lowestRank) {
		return u.rank < lowestRank
	}
	return isEmpty(best.value) && !isEmpty(value) || isEmpty(best.value) == isEmpty(value) && u.rank < best.rank
}

// applyChosen replaces the column of each field for which the options specify a column. For the other fields, it
// replaces the column if the rules of the system specify one.
func (c *columnMapping) applyChosen(found *pickedColumns, all, values map[string]any) {
	for field, name := range c.namedColumns {
		if field == Disabled || field == EmailVerified {
			continue
		}
		if value, ok := c.valueOfNamed(name, all, values); ok {
			*found.columnOf(field) = pickedColumn{name, value, 0}
		}
	}
	if c.system == nil {
		return
	}
	for field, wanted := range c.system.fieldColumns {
		if _, named := c.namedColumns[field]; named {
			continue
		}
		p := found.columnOf(field)
		for name, value := range all {
			if folded(name) == folded(wanted) && !isEmpty(value) {
				*p = pickedColumn{name, value, 0}
			}
		}
		if wanted == "-" {
			*p = pickedColumn{}
		}
	}
}

// valueOfNamed returns the value in the column that an option names. The column may be a member of a nested object.
func (c *columnMapping) valueOfNamed(name string, all, values map[string]any) (value any, ok bool) {
	if value, _, ok = valueAtPath(values, name); !ok {
		value, ok = all[name]
	}
	c.foundNamed[name] = c.foundNamed[name] || ok
	return value, ok
}

// valueAtPath returns the value of a member. The path is the member's name, or names with dots between them for a
// nested member. topName is the first of these names.
func valueAtPath(values map[string]any, path string) (value any, topName string, ok bool) {
	if value, ok = values[path]; ok {
		return value, path, true
	}
	topName, rest, nested := strings.Cut(path, ".")
	if !nested {
		return nil, "", false
	}
	switch inner := values[topName].(type) {
	case map[string]any:
		value, _, ok = valueAtPath(inner, rest)
	case []any: // emails.0.address
		byNumber := make(map[string]any, len(inner))
		for i, each := range inner {
			byNumber[strconv.Itoa(i)] = each
		}
		value, _, ok = valueAtPath(byNumber, rest)
	}
	return value, topName, ok
}

func (c *columnMapping) readRow(values map[string]any) Row {
	c.encodeMetadata(values)
	for name, value := range values {
		values[name] = replaceNulls(value)
		c.recordName(name)
		c.foundNamed[name] = c.foundNamed[name] || c.ignored[name]
	}
	all := withNested(values)
	if c.rows++; c.system == nil && c.rows <= rowsToRecognise {
		c.system = recogniseSystem(all)
	}
	r := rowReader{columns: c, values: values, allValues: all, picks: c.pickWellKnown(all)}
	c.applyChosen(&r.picks, all, values)
	r.row.ID = readField(&r, ID, parseID, notText)
	r.row.Email = r.readText(Email)
	r.readPassword()
	r.readNames()
	r.readVerified()
	r.readDisabled()
	r.readFactors()
	r.readMetadata()
	r.row.CreatedAt = readField(&r, CreatedAt, parseTime, notTime)
	if pick, ok := r.pick(Locale); ok {
		r.row.Locale, _ = parseText(pick.value)
	}
	if pick, ok := r.pick(Roles); ok {
		var problem string
		if r.row.Roles, problem = parseRoles(pick.value); problem != "" {
			r.addProblem(Roles, problem)
		}
	}
	r.recordUnsettled()
	return r.row
}

// usedAndUnused returns sorted names of columns.
func (c *columnMapping) usedAndUnused() (used, unused []string) {
	for _, name := range slices.Sorted(maps.Keys(c.topLevelNames)) {
		if c.usedColumns[name] || c.readFields[c.useOf(name).field] {
			used = append(used, name)
		} else {
			unused = append(unused, name)
		}
	}
	return used, unused
}

// missingNames returns the columns in the options that no account had, sorted, or nil.
func (c *columnMapping) missingNames() (names []string) {
	for field, name := range c.namedColumns {
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
	names = slices.DeleteFunc(names, func(name string) bool { return c.foundNamed[name] })
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return slices.Compact(names)
}
