package admin

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/storable"
)

// A search reads a range of one index: of addresses, or of the accounts with a role. The other
// filters apply to the accounts of that range. One request reads at most maxScanned of them, so a
// filter that selects few accounts among millions costs a page with few items, and never a long
// query.

const (
	// DefaultLimit and MaxLimit bound the items of a page.
	DefaultLimit = 50
	MaxLimit     = 200

	scanned    = 500 // accounts that one statement reads, if some may not be selected
	maxScanned = 2000
)

// A Filter selects accounts. The zero value selects all.
type Filter struct {
	Email  string // a prefix of the address, in any case
	ID     string
	Role   string
	State  string // StateActive, StateUnverified or StateDisabled
	Factor string // FactorNone, FactorAny, "totp" or "passkey"
}

// The values of Filter.State and Filter.Factor.
const (
	StateActive     = "active"
	StateUnverified = "unverified"
	StateDisabled   = "disabled"

	FactorNone    = "none"
	FactorAny     = "any"
	FactorTOTP    = "totp"
	FactorPasskey = "passkey"
)

// State returns the state of an account. A disabled account is disabled even if its address is
// unverified, too.
func (a Account) State() string {
	switch {
	case a.Disabled():
		return StateDisabled
	case !a.Verified():
		return StateUnverified
	}
	return StateActive
}

// Kinds returns the kinds of second factors, never nil.
func (a Account) Kinds() []string {
	kinds := []string{}
	if a.TOTP {
		kinds = append(kinds, FactorTOTP)
	}
	if a.Passkey {
		kinds = append(kinds, FactorPasskey)
	}
	return kinds
}

// check refuses values that no account can have, because a typing error would look like an empty list.
func (f Filter) check() error {
	states := map[string]bool{"": true, StateActive: true, StateUnverified: true, StateDisabled: true}
	kinds := map[string]bool{"": true, FactorNone: true, FactorAny: true, FactorTOTP: true, FactorPasskey: true}
	switch {
	case !states[f.State]:
		return refuse(watchword.CodeParameterInvalid, "The parameter state is not one of active, unverified and disabled.")
	case !kinds[f.Factor]:
		return refuse(watchword.CodeParameterInvalid, "The parameter factor is not one of none, any, totp and passkey.")
	}
	return nil
}

// selects reports whether the filter selects an account.
func (f Filter) selects(a Account) bool {
	factor := map[string]bool{
		"": true, FactorNone: !a.TOTP && !a.Passkey, FactorAny: a.TOTP || a.Passkey,
		FactorTOTP: a.TOTP, FactorPasskey: a.Passkey,
	}
	return strings.HasPrefix(string(a.Email), strings.ToLower(f.Email)) &&
		(f.ID == "" || string(a.ID) == f.ID) && (f.Role == "" || a.HasRole(f.Role)) &&
		(f.State == "" || a.State() == f.State) && factor[f.Factor]
}

// list names the list of a filter, for its cursors.
func (f Filter) list() string {
	return strings.Join([]string{"users", f.Email, f.ID, f.Role, f.State, f.Factor}, "\x00")
}

// A Page is one page of accounts. It may have fewer items than the limit, or be empty, and still
// have a next page.
type Page struct {
	Items []Account
	Next  string // the cursor of the next page; empty: this is the last one
}

// FindUsers returns the page after a cursor ("": the first). A limit of 0 means DefaultLimit. Codes:
// CodeParameterInvalid.
func (m *Manager) FindUsers(ctx context.Context, f Filter, cursor string, limit int) (page Page, err error) {
	if err := f.check(); err != nil {
		return Page{}, err
	}
	after, err := m.position(f.list(), cursor)
	if err != nil {
		return Page{}, err
	}
	if f.ID != "" {
		return m.findByID(ctx, f)
	}
	if !isRange(f.Email) || !isRange(f.Role) {
		return Page{}, nil // no address and no role has such a character
	}
	limit = min(cmp.Or(max(limit, 0), DefaultLimit), MaxLimit)
	size := scanned
	if f.State == "" && f.Factor == "" && (f.Role == "" || f.Email == "") {
		size = limit // the range has no account that the filter does not select
	}
	for read := 0; read < maxScanned; {
		batch, err := m.batch(ctx, f, after, size)
		if err != nil {
			return Page{}, err
		}
		for _, account := range batch {
			after = f.positionOf(account)
			if f.selects(account) {
				page.Items = append(page.Items, account)
			}
			if len(page.Items) == limit {
				page.Next = m.seal(f.list(), after)
				return page, nil
			}
		}
		if read += len(batch); len(batch) < size {
			return page, nil
		}
	}
	page.Next = m.seal(f.list(), after)
	return page, nil
}

// isRange reports whether text has only characters of addresses and roles: printable ASCII.
func isRange(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// batch reads the next accounts of the range, in a transaction of its own.
func (m *Manager) batch(ctx context.Context, f Filter, after string, size int) (batch []Account, err error) {
	err = m.store.View(ctx, func(tx Tx) error {
		if f.Role != "" {
			batch, err = tx.AccountsWithRole(ctx, f.Role, watchword.UserID(after), size)
			return err
		}
		// Addresses are printable ASCII, so next follows an address directly, and last is above all addresses of
		// a prefix.
		const next, last = "\x01", "\x7f"
		prefix := watchword.Address(strings.ToLower(f.Email))
		batch, err = tx.Accounts(ctx, max(prefix, watchword.Address(after)+next), prefix+last, size)
		return err
	})
	return batch, err
}

// positionOf returns the position of an account in the range of the filter.
func (f Filter) positionOf(a Account) string {
	if f.Role != "" {
		return string(a.ID)
	}
	return string(a.Email)
}

// findByID returns a page of at most one account.
func (m *Manager) findByID(ctx context.Context, f Filter) (page Page, err error) {
	if !storable.ID(f.ID) {
		return Page{}, nil
	}
	err = m.store.View(ctx, func(tx Tx) error {
		found, err := tx.Account(ctx, watchword.UserID(f.ID))
		if err == nil && f.selects(found) {
			page = Page{Items: []Account{found}}
		}
		return err
	})
	if errors.Is(err, watchword.ErrNotFound) {
		err = nil
	}
	return page, err
}
