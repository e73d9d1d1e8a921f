package userimport

import (
	"fmt"
	"hash/maphash"

	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// duplicates finds accounts that occur twice in the file. It keeps 16 bytes for each address and each id: a hash of
// 64 bits and a position. In a file of a million accounts, a false match has a chance of about one in ten million.
type duplicates struct {
	seed maphash.Seed
	seen map[uint64]position
}

type position struct{ line, number uint32 }

func newDuplicates() duplicates { return duplicates{maphash.MakeSeed(), map[uint64]position{}} }

// reset forgets the accounts before the next pass, and keeps the allocated memory.
func (d duplicates) reset() { clear(d.seen) }

// findDuplicates returns a problem if an earlier account of the file has the address of a, and another if one has the
// id of a. It records the address and the id of a only if a has no problems, because an account with problems is
// skipped. Ids that KeptID normalizes to the same UUID count as equal.
func (d duplicates) findDuplicates(a *account) (found []Problem) {
	if !a.isReadable() {
		return nil
	}
	var keys []uint64
	look := func(field, value, shown string) {
		key := maphash.String(d.seed, field+" "+value)
		keys = append(keys, key)
		if at, ok := d.seen[key]; ok {
			detail := "the same as on " + at.relativeTo(a.row.Place) + shown
			found = append(found, Problem{Field: field, Kind: sameInFile, detail: detail})
		}
	}
	if email, err := address.Parse(a.user.Email); err == nil {
		look("email", email, ": "+email)
	}
	if id, kept := a.user.KeptID(); kept {
		look("id", string(id), "")
	} else if a.user.ID != "" {
		look("id", a.user.ID, "")
	}
	if found == nil && a.problems == nil {
		for _, key := range keys {
			d.seen[key] = position{uint32(a.row.Line), uint32(a.row.Number)}
		}
	}
	return found
}

// relativeTo returns the line of p, for a message about the account at otherPlace. If both accounts are on one line,
// relativeTo adds the number of the account at p.
func (p position) relativeTo(otherPlace userfile.Place) string {
	if int(p.line) == otherPlace.Line {
		return fmt.Sprintf("line %d, account %d", p.line, p.number)
	}
	return fmt.Sprintf("line %d", p.line)
}
