package userfile

import (
	"regexp"
	"slices"
	"strings"
)

// reading converts the values of one account into a Row.
type reading struct {
	columns *columns
	values  map[string]any // as in the file
	all     map[string]any // values and nested values (withNested)
	picks   picks
	row     Row
	stated  bool // a column says whether the account is disabled
}

func (r *reading) pick(f Field) (*pick, bool) {
	p := r.picks.of(f)
	if p.name == "" {
		return p, false
	}
	r.use(p.name)
	return p, true
}

func (r *reading) use(name string) {
	r.columns.used[name] = true
	r.columns.used[topLevel(name, r.values)] = true
}

func (r *reading) problem(f Field, text string) {
	r.row.Problems = append(r.row.Problems, Problem{f, text})
}

// take reads a field from its column. If the value can't be read, take adds a problem. The argument otherwise is the
// text of this problem.
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

// names reads the first and the last name, and the whole name if both are empty. If the options name a column for the
// whole name, names always reads it. In that case, it reads the first and the last name only if the options also name
// a column for one of them.
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

// password reads the hash with its salt, algorithm and cost, and whether the password is
// temporary.
func (r *reading) password() {
	c := r.columns
	r.row.Hash = r.text(PasswordHash)
	r.row.Salt = r.text(Salt)
	r.row.Algorithm = r.text(Algorithm)
	r.row.Factor = r.text(Factor)
	switch name := r.picks.of(PasswordHash).name; {
	case strings.HasSuffix(name, "services.password.bcrypt"), strings.HasSuffix(name, "services.password.argon2"):
		r.row.Prehash = "sha256-hex" // Meteor
	}
	if pick, ok := r.pick(Temporary); ok && !absent(pick.value) {
		mark, ok := markOf(pick.value)
		if !ok {
			r.problem(Temporary, notBool)
		}
		r.row.Temporary = mark.Set
	}
	if list, ok := r.values["requiredActions"].([]any); ok && slices.Contains(list, any("UPDATE_PASSWORD")) {
		r.use("requiredActions")
		r.row.Temporary = true
	}
	if list, ok := r.values[credentials].([]any); ok && r.row.Hash == "" && c.wanted[PasswordHash] == "" {
		c.used[credentials] = true
		var temporary bool
		r.row.Keycloak, temporary = keycloakOf(list)
		r.row.Temporary = r.row.Temporary || temporary
	}
}

// verified reads whether the address is verified. If the options name several columns, one of them is enough. Without
// options, the well-known column with the lowest rank decides.
func (r *reading) verified() {
	c := r.columns
	text, named := c.wanted[EmailVerified]
	if !named {
		if pick, ok := r.pick(EmailVerified); ok {
			r.row.Verified = r.verifiedBy(rule{column: pick.name}, pick.value)
		}
		return
	}
	if text == "-" {
		return
	}
	for line := range strings.Lines(text) {
		for _, rule := range parseRules(strings.TrimSpace(line)) {
			value, ok := c.named(rule.column, r.all, r.values)
			if !ok {
				continue
			}
			r.use(rule.column)
			if mark := r.verifiedBy(rule, value); mark.Set && (!r.row.Verified.Set || r.row.Verified.At.IsZero()) {
				r.row.Verified = mark
			}
		}
	}
}

func (r *reading) verifiedBy(from rule, value any) Mark {
	r.columns.marked[EmailVerified] = true
	if from.words != nil {
		s := from.read(value, r.columns.now)
		return Mark{Set: s.disabled}
	}
	if absent(value) {
		return Mark{}
	}
	if strings.HasPrefix(folded(from.column), "verifiedemail") { // may list the verified addresses, not true or false
		text, _ := textOf(value)
		list, _ := value.([]any)
		for each := range strings.FieldsFuncSeq(text, func(c rune) bool { return strings.ContainsRune(", ;|", c) }) {
			list = append(list, each)
		}
		if strings.Contains(text, "@") || text == "" && list != nil {
			return Mark{Set: slices.ContainsFunc(list, func(each any) bool {
				text, _ := textOf(each)
				return strings.EqualFold(strings.TrimSpace(text), strings.TrimSpace(r.row.Email))
			})}
		}
	}
	mark, ok := markOf(value)
	if ok && from.negated {
		return Mark{Set: !mark.Set}
	}
	if text, _ := textOf(value); !ok {
		switch strings.ToLower(text) {
		case "verified", "confirmed", "completed", "valid":
			return Mark{Set: true}
		case "unverified", "unconfirmed", "pending", "failed", "expired", "invalid", "sent", "not_verified":
			return Mark{}
		}
		r.problem(EmailVerified, notBool)
	}
	return mark
}

// disabled reads whether the account is disabled. One column that marks it as disabled is
// enough.
func (r *reading) disabled() {
	c := r.columns
	if c.wanted[Disabled] == "-" {
		return
	}
	rules := slices.DeleteFunc(slices.Clone(c.rules), func(from rule) bool {
		_, ok := c.named(from.column, r.all, r.values)
		return !ok
	})
	if c.rules == nil {
		rules = c.system.rules(r.all)
		for name := range r.all {
			m := meaning(0)
			if c.seen[name] || r.attribute(name) { // a nested column may describe something other than the account
				m = c.use(name).state
			}
			taken := slices.ContainsFunc(rules, func(from rule) bool { return from.column == name })
			if m == 0 || taken || c.ignored[name] || c.system.ignores(name) {
				continue
			}
			rules = append(rules, rule{column: name, meaning: m})
		}
	}
	slices.SortFunc(rules, func(a, b rule) int { return strings.Compare(a.column, b.column) })
	for _, from := range rules {
		r.stated = true
		r.use(from.column)
	}
	mark, temporary, problems := disabledBy(rules, r.all, c.now)
	r.row.Disabled = mark
	r.row.Temporary = r.row.Temporary || temporary
	for _, problem := range problems {
		r.problem(Disabled, problem)
	}
}

// attribute reports whether a name in r.all comes from the attributes of Cognito.
func (r *reading) attribute(name string) bool {
	_, own := r.values[name]
	return !own && !strings.Contains(name, ".")
}

// hashLike matches texts that begin like a password hash.
var hashLike = regexp.MustCompile(`^(\$(2[abxy]|argon2[a-z]*|scrypt|pbkdf2[a-z0-9-]*|wp|P|H|S|5|6|bcrypt-sha256)\$|pbkdf2[_:]|bcrypt(_sha256)?\$|argon2\$|scrypt[:$]|\{[A-Za-z0-9-]+\}.{20})`)

// unsettled records unused columns that may say that the account is disabled or verified. It also records unused
// columns that look like password hashes.
func (r *reading) unsettled() {
	c := r.columns
	var stems []string
	for name := range r.all {
		if c.used[name] && c.use(name).suggests && stemOf(name) != "" {
			stems = append(stems, stemOf(name))
		}
	}
	if r.stated {
		stems = append(stems, anyStem)
	}
	if _, named := c.wanted[PasswordHash]; !named && r.picks.of(PasswordHash).name == "" && r.row.Keycloak == nil {
		for name, value := range r.all {
			if text, ok := value.(string); ok && hashLike.MatchString(text) && !c.used[name] && !c.ignores(name) &&
				len(c.hashes) < maxNames {
				c.hashes[name] = true
			}
		}
	}
	_, named := c.wanted[EmailVerified]
	verified := named || r.picks.of(EmailVerified).name != ""
	for name, value := range r.all {
		if u := c.use(name); !u.suggests && !u.verified {
			continue
		}
		_, object := unwrapped(value).(map[string]any)
		_, list := value.([]any)
		if absent(value) || object || list || c.used[name] || c.unsettled[name] || c.ignores(name) ||
			len(c.unsettled) == maxNames {
			continue
		}
		if c.wanted[Disabled] != "-" && (c.known[name].state != 0 && c.seen[name] || suggestsState(name,
			stems)) || !verified && c.use(name).verified {
			c.unsettled[name] = true
		}
	}
}

// ignores reports whether the options or the system exclude a column, or the object that contains it.
func (c *columns) ignores(name string) bool {
	first, _, _ := strings.Cut(name, ".")
	return c.ignored[name] || c.ignored[first] || c.system.ignores(name)
}
