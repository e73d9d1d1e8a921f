package userfile

import (
	"regexp"
	"slices"
	"strings"
)

// A rowReader converts the values of one account into a Row.
type rowReader struct {
	columns        *columnMapping
	values         map[string]any // as in the file
	allValues      map[string]any // also nested ones (withNested)
	picks          pickedColumns
	row            Row
	statesDisabled bool // a column says whether the account is disabled
}

func (r *rowReader) pick(f Field) (*pickedColumn, bool) {
	p := r.picks.columnOf(f)
	if p.name == "" {
		return p, false
	}
	r.markAsUsed(p.name)
	return p, true
}

func (r *rowReader) markAsUsed(name string) {
	r.columns.usedColumns[name] = true
	r.columns.usedColumns[topLevelName(name, r.values)] = true
}

func (r *rowReader) addProblem(f Field, text string) {
	r.row.Problems = append(r.row.Problems, Problem{f, text})
}

// readField returns the value of a field, or the zero value if no column has the field. If the value can't be read,
// it adds the problem to the row.
func readField[T any](r *rowReader, f Field, read func(any) (T, bool), problem string) (value T) {
	pick, ok := r.pick(f)
	if !ok {
		return value
	}
	if value, ok = read(pick.value); !ok {
		r.addProblem(f, problem)
	}
	return value
}

func (r *rowReader) readText(f Field) string { return readField(r, f, parseText, notText) }

// readNames reads the first and the last name, and the whole name if both are empty. If the options name a column for
// the whole name, readNames always reads it. In that case, it reads the first and the last name only if the options
// also name a column for one of them.
func (r *rowReader) readNames() {
	_, whole := r.columns.namedColumns[Name]
	_, first := r.columns.namedColumns[FirstName]
	_, last := r.columns.namedColumns[LastName]
	if !whole || first || last {
		r.row.First, r.row.Last = r.readText(FirstName), r.readText(LastName)
	}
	if whole || r.row.First+r.row.Last == "" {
		r.row.Name = r.readText(Name)
	}
}

// readPassword reads the hash with its salt, algorithm and cost, and whether the password is temporary.
func (r *rowReader) readPassword() {
	c := r.columns
	r.row.Hash = r.readText(PasswordHash)
	r.row.Salt = r.readText(Salt)
	r.row.Algorithm = r.readText(Algorithm)
	r.row.Factor = r.readText(Factor)
	switch name := r.picks.columnOf(PasswordHash).name; {
	case strings.HasSuffix(name, "services.password.bcrypt"), strings.HasSuffix(name, "services.password.argon2"):
		r.row.Prehash = "sha256-hex" // Meteor
	}
	if pick, ok := r.pick(Temporary); ok && !isEmpty(pick.value) {
		mark, ok := parseMark(pick.value)
		if !ok {
			r.addProblem(Temporary, notBool)
		}
		r.row.Temporary = mark.Set
	}
	if list, ok := r.values["requiredActions"].([]any); ok && slices.Contains(list, any("UPDATE_PASSWORD")) {
		r.markAsUsed("requiredActions")
		r.row.Temporary = true
	}
	if list, ok := r.values[keycloakCredentials].([]any); ok && r.row.Hash == "" && c.namedColumns[PasswordHash] == "" {
		c.usedColumns[keycloakCredentials] = true
		var temporary bool
		r.row.Keycloak, temporary = currentKeycloakPassword(list)
		r.row.Temporary = r.row.Temporary || temporary
	}
}

// readVerified sets whether the address is verified. If the options name several columns, one column that says so is
// enough. Without options, the well-known column with the lowest rank decides.
func (r *rowReader) readVerified() {
	c := r.columns
	text, named := c.namedColumns[EmailVerified]
	if !named {
		if pick, ok := r.pick(EmailVerified); ok {
			r.row.Verified = r.verifiedBy(columnRule{column: pick.name}, pick.value)
		}
		return
	}
	if text == "-" {
		return
	}
	for line := range strings.Lines(text) {
		for _, rule := range parseRules(strings.TrimSpace(line)) {
			value, ok := c.valueOfNamed(rule.column, r.allValues, r.values)
			if !ok {
				continue
			}
			r.markAsUsed(rule.column)
			if mark := r.verifiedBy(rule, value); mark.Set && (!r.row.Verified.Set || r.row.Verified.At.IsZero()) {
				r.row.Verified = mark
			}
		}
	}
}

func (r *rowReader) verifiedBy(from columnRule, value any) Mark {
	r.columns.readFields[EmailVerified] = true
	if from.listedWords != nil {
		s := from.readState(value, r.columns.now)
		return Mark{Set: s.disabled}
	}
	if isEmpty(value) {
		return Mark{}
	}
	if strings.HasPrefix(folded(from.column), "verifiedemail") { // such a column may contain addresses
		text, _ := parseText(value)
		list, _ := value.([]any)
		for each := range strings.FieldsFuncSeq(text, func(c rune) bool { return strings.ContainsRune(", ;|", c) }) {
			list = append(list, each)
		}
		if strings.Contains(text, "@") || text == "" && list != nil {
			return Mark{Set: slices.ContainsFunc(list, func(each any) bool {
				text, _ := parseText(each)
				return strings.EqualFold(strings.TrimSpace(text), strings.TrimSpace(r.row.Email))
			})}
		}
	}
	mark, ok := parseMark(value)
	if ok && from.listsEnabled {
		return Mark{Set: !mark.Set}
	}
	if text, _ := parseText(value); !ok {
		switch strings.ToLower(text) {
		case "verified", "confirmed", "completed", "valid":
			return Mark{Set: true}
		case "unverified", "unconfirmed", "pending", "failed", "expired", "invalid", "sent", "not_verified":
			return Mark{}
		}
		r.addProblem(EmailVerified, notBool)
	}
	return mark
}

// readDisabled marks the account as disabled if at least one column says so.
func (r *rowReader) readDisabled() {
	c := r.columns
	if c.namedColumns[Disabled] == "-" {
		return
	}
	rules := slices.DeleteFunc(slices.Clone(c.disabledRules), func(from columnRule) bool {
		_, ok := c.valueOfNamed(from.column, r.allValues, r.values)
		return !ok
	})
	if c.disabledRules == nil {
		rules = c.system.parsedRules(r.allValues)
		for name := range r.allValues {
			m := columnMeaning(0)
			// A nested column may describe something other than the account.
			if c.topLevelNames[name] || r.isCognitoAttribute(name) {
				m = c.useOf(name).stateMeaning
			}
			taken := slices.ContainsFunc(rules, func(from columnRule) bool { return from.column == name })
			if m == 0 || taken || c.ignored[name] || c.system.ignores(name) {
				continue
			}
			rules = append(rules, columnRule{column: name, meaning: m})
		}
	}
	slices.SortFunc(rules, func(a, b columnRule) int { return strings.Compare(a.column, b.column) })
	for _, from := range rules {
		r.statesDisabled = true
		r.markAsUsed(from.column)
	}
	mark, temporary, problems := disabledBy(rules, r.allValues, c.now)
	r.row.Disabled = mark
	r.row.Temporary = r.row.Temporary || temporary
	for _, problem := range problems {
		r.addProblem(Disabled, problem)
	}
}

func (r *rowReader) isCognitoAttribute(name string) bool {
	_, own := r.values[name]
	return !own && !strings.Contains(name, ".")
}

// hashPrefix matches texts that begin like a password hash.
var hashPrefix = regexp.MustCompile(`^(\$(2[abxy]|argon2[a-z]*|scrypt|pbkdf2[a-z0-9-]*|wp|P|H|S|5|6|bcrypt-sha256)\$|pbkdf2[_:]|bcrypt(_sha256)?\$|argon2\$|scrypt[:$]|\{[A-Za-z0-9-]+\}.{20})`)

// recordUnsettled records unused columns that may say that the account is disabled or verified. It also records
// unused columns that look like password hashes.
func (r *rowReader) recordUnsettled() {
	c := r.columns
	var stems []string
	for name := range r.allValues {
		if c.usedColumns[name] && c.useOf(name).suggestsDisabled && stemOf(name) != "" {
			stems = append(stems, stemOf(name))
		}
	}
	if r.statesDisabled {
		stems = append(stems, anyStem)
	}
	hasHash := r.picks.columnOf(PasswordHash).name != "" || r.row.Keycloak != nil
	if _, named := c.namedColumns[PasswordHash]; !named && !hasHash {
		for name, value := range r.allValues {
			if text, ok := value.(string); ok && hashPrefix.MatchString(text) &&
				!c.usedColumns[name] && !c.isIgnored(name) &&
				len(c.hashColumns) < maxKnownNames {
				c.hashColumns[name] = true
			}
		}
	}
	_, named := c.namedColumns[EmailVerified]
	verified := named || r.picks.columnOf(EmailVerified).name != ""
	for name, value := range r.allValues {
		if u := c.useOf(name); !u.suggestsDisabled && !u.suggestsVerified {
			continue
		}
		_, object := unwrapExtendedJSON(value).(map[string]any)
		_, list := value.([]any)
		if isEmpty(value) || object || list || c.usedColumns[name] || c.unsettledNames[name] || c.isIgnored(name) ||
			len(c.unsettledNames) == maxKnownNames {
			continue
		}
		hasState := c.useByName[name].stateMeaning != 0 && c.topLevelNames[name] || suggestsState(name, stems)
		if c.namedColumns[Disabled] != "-" && hasState || !verified && c.useOf(name).suggestsVerified {
			c.unsettledNames[name] = true
		}
	}
}

// isIgnored reports whether the options or the system exclude a column, or the object that contains it.
func (c *columnMapping) isIgnored(name string) bool {
	first, _, _ := strings.Cut(name, ".")
	return c.ignored[name] || c.ignored[first] || c.system.ignores(name)
}
