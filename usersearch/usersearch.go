// Package usersearch finds accounts for operators. It uses the engine's list of accounts and has no rules of its own
// about accounts.
//
// Unstable: only the program watchword uses it.
package usersearch

import (
	"context"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/address"
)

// A Filter selects accounts. The zero value selects all. Prefix selects a range of an index. If other fields are set,
// Find reads every account of that range.
type Filter struct {
	Prefix   string // prefix of the address, ignoring case; a non-ASCII label must be complete
	Contains string // text that the address or the name contains, ignoring case
	Role     string
	State    string // a result of the function State
}

// Matches reports whether the filter selects an account. It ignores Prefix, because the query has already applied it.
func (f Filter) Matches(u watchword.User) bool {
	part := strings.ToLower(f.Contains)
	return (strings.Contains(string(u.Email), part) || strings.Contains(strings.ToLower(u.Name), part)) &&
		(f.Role == "" || u.HasRole(f.Role)) && (f.State == "" || f.State == State(u))
}

// State returns "disabled", "unverified" or "active". For an account that is both disabled and unverified, it returns
// "disabled".
func State(u watchword.User) string {
	switch {
	case u.Disabled():
		return "disabled"
	case !u.Verified():
		return "unverified"
	}
	return "active"
}

// Find reads one page of accounts per transaction. The size of a page is limit, but at least smallestPage and at most
// largestPage. A page is larger than a small limit, because the filter may select only a few of its accounts.
const (
	smallestPage = 100
	largestPage  = 1000
)

// A Lister lists accounts in the order of their addresses. watchword.Operator implements it.
type Lister interface {
	UsersBetween(ctx context.Context, first, end watchword.Address, limit int) ([]watchword.User, error)
}

// Find returns at most limit accounts that match the filter, ordered by address. It starts with the first address
// greater than the cursor, or with the first account if the cursor is "". It reads each page in a separate
// transaction, so a running server can write between pages.
func Find(
	ctx context.Context, users Lister, f Filter, cursor watchword.Address, limit int,
) (found []watchword.User, err error) {
	size := min(max(limit, smallestPage), largestPage)
	begin, possible := address.Prefix(f.Prefix)
	if !possible {
		return nil, nil
	}
	prefix := watchword.Address(begin)
	// Addresses are printable ASCII, so all their characters are between lowestChar and highestChar. Therefore no
	// address is between a and a + lowestChar, and every address with a prefix is less than prefix + highestChar.
	const lowestChar, highestChar = "\x01", "\x7f"
	from := max(prefix, cursor+lowestChar)
	for page := make([]watchword.User, size); len(page) == size && len(found) < limit; {
		if page, err = users.UsersBetween(ctx, from, prefix+highestChar, size); err != nil {
			return nil, err
		}
		for _, user := range page {
			from = user.Email + lowestChar
			if len(found) < limit && f.Matches(user) {
				found = append(found, user)
			}
		}
	}
	return found, nil
}
