package userimport

import (
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
	"github.com/watchword-auth/watchword/internal/factorfile"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// An account is one row of the file, with the results of its import.
type account struct {
	row         userfile.Row
	user        accountimport.Account
	problems    []Problem
	hashDropped bool // Options.DropBadHashes removed the hash
	skipped     bool
	result      accountimport.Result // of the engine's check or import
}

// isReadable reports whether the row could be parsed. The first problem of an unreadable row has no field.
func (a *account) isReadable() bool { return len(a.problems) == 0 || a.problems[0].Field != "" }

// newAccount adds the problems that the row alone shows. The caller adds the problems that depend on other accounts
// or on the engine. If the row can't be parsed, its problems have no field.
func (i *Importer) newAccount(row userfile.Row) account {
	a := account{row: row}
	for _, p := range row.Problems {
		a.problems = append(a.problems, Problem{Field: string(p.Field), Kind: p.Text})
	}
	now := i.report.startedAt
	a.user = accountimport.Account{
		ID: row.ID, System: i.options.System, Email: row.Email, Name: i.name(row),
		Locale: row.Locale, Roles: row.Roles, Factors: watchword.Secret(factorfile.Text(row.Factors)),
		PublicMetadata: row.Public, PrivateMetadata: row.Private,
		CreatedAt:  row.CreatedAt,
		DisabledAt: markTime(row.Disabled, now),
		VerifiedAt: markTime(row.Verified, now),
	}
	if a.user.CreatedAt.IsZero() {
		a.user.CreatedAt = objectIDTime(row.ID, now)
	}
	if i.options.AssumeVerified && !row.Verified.Set {
		a.user.VerifiedAt = now
	}
	var err error
	if a.user.PasswordHash, err = i.options.Hashing.importableHash(row); a.user.PasswordHash != "" {
		a.user.Prehash, a.user.Pepper = i.options.Hashing.prehashMethod(row), i.options.Hashing.Pepper
	}
	if err != nil && i.options.DropBadHashes {
		a.hashDropped = true
	} else if err != nil {
		a.problems = append(a.problems, Problem{Field: "passwordHash", Kind: err.Error()})
	}
	return a
}

func (i *Importer) name(row userfile.Row) string {
	if row.First+row.Last != "" {
		return i.options.JoinName(row.First, row.Last)
	}
	return row.Name
}

// markTime returns the time at which an account got a mark, such as disabled. It returns the zero time for an account
// without the mark, and now if the file gives no time. Callers set now to the start of the pass, so that all accounts
// of a pass get the same time.
func markTime(m userfile.Mark, now time.Time) time.Time {
	if m.Set && m.At.IsZero() {
		return now
	}
	return m.At
}

// objectIDTime returns the creation time in the first four bytes of a MongoDB ObjectId. It returns the zero time if
// the id is not an ObjectId, or if the time is before the first MongoDB (2009) or after now.
func objectIDTime(id string, now time.Time) time.Time {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 12 {
		return time.Time{}
	}
	at := time.Unix(int64(binary.BigEndian.Uint32(raw)), 0)
	if at.Year() < 2009 || at.After(now) {
		return time.Time{}
	}
	return at
}
