package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/users"
	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// From a row of a file to an account that can be imported, and what the file alone
// tells to be wrong with it. What is wrong besides, the engine knows.

// A candidate is an account of the file, and what is known to be wrong with it.
type candidate struct {
	row      userfile.Row
	user     watchword.ImportedUser
	problems []importProblem
	dropped  bool // the hash was
	left     bool // out of the import
	result   watchword.ImportResult
}

// unread is an account of which nothing is known.
func (c *candidate) unread() bool { return len(c.problems) > 0 && c.problems[0].Field == "" }

// candidate makes an account of a row.
func (w *importing) candidate(row userfile.Row) candidate {
	c := candidate{row: row}
	for _, p := range row.Problems {
		c.problems = append(c.problems, importProblem{Field: string(p.Field), Kind: p.Text})
	}
	now := w.report.begun
	c.user = watchword.ImportedUser{
		ID: row.ID, System: w.System, Email: row.Email, Name: nameOf(row), Roles: row.Roles, CreatedAt: row.CreatedAt,
		DisabledAt: markedAt(row.Disabled, now),
		VerifiedAt: markedAt(row.Verified, now),
	}
	if c.user.CreatedAt.IsZero() {
		c.user.CreatedAt = objectIDTime(row.ID, now)
	}
	if w.AssumeOK && !row.Verified.Set {
		c.user.VerifiedAt = now
	}
	var err error
	if c.user.PasswordHash, err = w.hash(row); c.user.PasswordHash != "" {
		c.user.Prehash, c.user.Pepper = w.method(row), w.pepper
	}
	if err != nil && w.NoHash {
		c.dropped = true
	} else if err != nil {
		c.problems = append(c.problems, importProblem{Field: "passwordHash", Kind: err.Error()})
	}
	return c
}

// nameOf is one name: an account has no more.
func nameOf(row userfile.Row) string {
	if row.First+row.Last != "" {
		return users.JoinName(row.First, row.Last)
	}
	return row.Name
}

// markedAt is when something began that is so; who does not say when says now.
func markedAt(m userfile.Mark, now time.Time) time.Time {
	if m.Set && m.At.IsZero() {
		return now
	}
	return m.At
}

// objectIDTime is when an ObjectId of MongoDB was made: its first four bytes say so.
// The zero time for what is none.
func objectIDTime(id string, now time.Time) time.Time {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 12 {
		return time.Time{}
	}
	at := time.Unix(int64(binary.BigEndian.Uint32(raw)), 0)
	if at.Year() < 2009 || at.After(now) { // before there was MongoDB
		return time.Time{}
	}
	return at
}

// twins finds accounts that are in the file twice. It keeps 16 bytes for each address
// and each id, by a hash of 64 bits: among a million accounts, that two differ and
// look alike is a matter of millions of files.
type twins struct {
	seed maphash.Seed
	seen map[uint64]seenAt
}

type seenAt struct{ line, number uint32 }

func newTwins() twins { return twins{maphash.MakeSeed(), map[uint64]seenAt{}} }

// forget keeps the memory, for another pass.
func (t twins) forget() { clear(t.seen) }

// problems says where the address and the id of an account were claimed. The account
// claims them itself if nothing is wrong with it: one that is left out stands in
// nobody's way.
func (t twins) problems(c *candidate) (found []importProblem) {
	if c.unread() {
		return nil
	}
	var claims []uint64
	look := func(field, text, shown string) {
		key := maphash.String(t.seed, field+" "+text)
		claims = append(claims, key)
		if at, seen := t.seen[key]; seen {
			found = append(found, importProblem{Field: field, Kind: sameInFile, detail: "the same as on " + at.from(c.row.Place) + shown})
		}
	}
	if email, err := address.Parse(c.user.Email); err == nil {
		look("email", email, ": "+email)
	}
	if id, kept := c.user.KeptID(); kept {
		look("id", string(id), "")
	} else if c.user.ID != "" {
		look("id", c.user.ID, "")
	}
	if found == nil && c.problems == nil {
		for _, key := range claims {
			t.seen[key] = seenAt{uint32(c.row.Line), uint32(c.row.Number)}
		}
	}
	return found
}

// from says where that is, as seen from another account.
func (s seenAt) from(other userfile.Place) string {
	if int(s.line) == other.Line {
		return fmt.Sprintf("line %d, account %d", s.line, s.number)
	}
	return fmt.Sprintf("line %d", s.line)
}
