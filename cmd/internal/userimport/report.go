package userimport

import (
	"fmt"
	"time"

	"github.com/watchword-auth/watchword/internal/userfile"
)

// A Report counts the accounts of a run. Column names come from the file and may contain control characters.
type Report struct {
	Imported bool // the accounts were imported; otherwise only checked
	Stopped  bool // a check ended early, so the counts are incomplete
	Unlisted bool // the problems were counted but not passed to the Observer

	Accounts int // read from the file: Done + Existing + Bad
	Done     int // imported or, after a check, ready to be imported
	Existing int // existed before, and were not changed
	Bad      int // accounts with problems

	BadHashes    int // problems with a hash
	IDsElsewhere int // non-UUID ids that Watchword knows from a deleted account, or with a different address

	// Of the accounts in Done:
	Verified, Unverified, Disabled int
	IDsKept, IDsNew                int
	Passwords                      map[string]int // by HashKind
	NoPassword                     int
	Roles                          map[string]int
	Factors                        map[string]int // second factors by kind
	Metadata                       int            // accounts with metadata
	LostFactors                    int            // accounts whose second factor is not in the file

	Kinds map[string]int // problems by field and kind

	ColumnsUsed, ColumnsUnused []string
	ColumnsMissing             []string // named by an option, but missing in every account
	ColumnsUnsettled           []string // not read, although the name suggests a state, such as disabled or verified
	ColumnsWithHashes          []string // not read, although the values look like password hashes
	System                     string   // the system that wrote the file, if it was recognised or given

	startedAt time.Time // replaces times that are missing in the file
}

// maxRoles bounds the memory of Roles if a column has a different value in each account.
const maxRoles = 1000

// Keys of Report.Passwords for accounts without a password.
const (
	noHash        = "none"
	droppedHash   = "none (hash dropped)"
	temporaryHash = "none (temporary password)"
)

func newReport() *Report {
	return &Report{
		startedAt: time.Now(), Kinds: map[string]int{}, Passwords: map[string]int{}, Roles: map[string]int{},
		Factors: map[string]int{},
	}
}

// IsIncomplete reports whether the operator must choose a column before an import. It is true if a named column is
// missing, or if a column that no option names may contain hashes or a state, such as disabled.
func (r *Report) IsIncomplete() bool {
	return r.ColumnsMissing != nil || r.ColumnsUnsettled != nil || r.ColumnsWithHashes != nil
}

// IsEmpty reports whether the file has no accounts, or only accounts with problems. The command then fails, so that a
// script notices.
func (r *Report) IsEmpty() bool { return r.Done+r.Existing == 0 }

// addBad counts an account that is skipped. An account can have several problems: Bad counts accounts, and Kinds
// counts problems.
func (r *Report) addBad(a *account) {
	r.Accounts++
	r.Bad++
	for _, p := range a.problems {
		r.Kinds[withField(p.Field, p.Kind)]++
		switch _, kept := a.user.KeptID(); {
		case p.Field == "passwordHash":
			r.BadHashes++
		case p.Field == "id" && p.Kind != sameInFile && !kept:
			r.IDsElsewhere++
		}
	}
}

// addGood counts an account without problems. If a role looks like a hash, addGood counts it under a fixed text,
// because the summary prints the names of all roles.
func (r *Report) addGood(a *account) {
	r.Accounts++
	if a.result.There {
		r.Existing++
		return
	}
	r.Done++
	user := a.result.User
	if user.Verified() {
		r.Verified++
	} else {
		r.Unverified++
	}
	if user.Disabled() {
		r.Disabled++
	}
	if _, kept := a.user.KeptID(); kept {
		r.IDsKept++
	} else if a.user.ID != "" {
		r.IDsNew++
	}
	kind := HashKind(user.PasswordHash)
	if kind == noHash {
		r.NoPassword++
	}
	switch {
	case a.hashDropped:
		kind = droppedHash
	case a.row.Temporary:
		kind = temporaryHash
	}
	r.Passwords[kind]++
	for _, f := range a.row.Factors {
		r.Factors[f.Kind]++
	}
	if a.row.Public+a.row.Private != "" {
		r.Metadata++
	}
	if a.row.LostFactor {
		r.LostFactors++
	}
	for _, role := range user.Roles {
		if hexDigits.MatchString(role) {
			role = "not shown: does --roles name the right column?"
		}
		if len(r.Roles) < maxRoles || r.Roles[role] > 0 {
			r.Roles[role]++
		}
	}
}

// addColumns copies the reader's findings about columns, after the last account.
func (r *Report) addColumns(file *userfile.Reader) {
	r.ColumnsUsed, r.ColumnsUnused = file.Columns()
	r.ColumnsMissing = file.Missing()
	r.ColumnsUnsettled = file.Unsettled()
	r.ColumnsWithHashes = file.Hashes()
	r.System = file.System()
}

// Accounts returns "1 account" or "n accounts".
func Accounts(n int) string {
	if n == 1 {
		return "1 account"
	}
	return fmt.Sprintf("%d accounts", n)
}
