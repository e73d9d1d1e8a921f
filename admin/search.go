package admin

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/storable"
)

// A search reads a range of one index: addresses with a prefix, or accounts with a role. The store applies the other
// filters to the accounts of that range. One request reads at most maxScanned of these accounts. If a filter selects
// few accounts among millions, the response has few items, but the query is never long.
//
// A search for an address and a role uses the index of roles if few accounts have the role, and otherwise the index
// of addresses. The cursor contains the name of the chosen index.

const (
	// DefaultLimit and MaxLimit bound the items of a page.
	DefaultLimit = 50
	MaxLimit     = 200

	maxScanned   = 1000
	scanBatch    = 500 // size of a batch of events, if the filter can drop some
	maxSmallRole = 200 // if fewer accounts have the role, a search for address and role uses the index of roles
)

// A Filter selects accounts. The zero value selects all.
type Filter struct {
	Email  string // a prefix of the address, in any letter case; a non-ASCII label must be complete
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

// State returns the state of an account. A disabled account has StateDisabled, even if its
// address is unverified.
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

// validate refuses values that no account can have. Otherwise, a misspelled value would silently find no accounts.
func (f Filter) validate() error {
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

func (f Filter) matches(a Account) bool {
	factor := map[string]bool{
		"": true, FactorNone: !a.TOTP && !a.Passkey, FactorAny: a.TOTP || a.Passkey,
		FactorTOTP: a.TOTP, FactorPasskey: a.Passkey,
	}
	return strings.HasPrefix(string(a.Email), f.Email) &&
		(f.ID == "" || string(a.ID) == f.ID) && (f.Role == "" || a.HasRole(f.Role)) &&
		(f.State == "" || a.State() == f.State) && factor[f.Factor]
}

// cursorScope is the text that the MAC of a cursor covers, so a cursor works only with the same filter.
func (f Filter) cursorScope() string {
	return strings.Join([]string{"users", f.Email, f.ID, f.Role, f.State, f.Factor}, "\x00")
}

// A Page is one page of accounts. A page with Next can have fewer items than the limit, or even zero items.
type Page struct {
	Items []Account
	Next  string // the cursor of the next page; empty: this is the last one
}

// FindUsers returns the page after a cursor ("": the first). A limit of 0 means DefaultLimit. Codes:
// CodeParameterInvalid.
func (m *Manager) FindUsers(ctx context.Context, f Filter, cursor string, limit int) (page Page, err error) {
	if err := f.validate(); err != nil {
		return Page{}, err
	}
	var possible bool
	f.Email, possible = address.Prefix(f.Email)
	after, err := m.openCursor(f.cursorScope(), cursor)
	if err != nil {
		return Page{}, err
	}
	if !possible {
		return Page{}, nil
	}
	if f.ID != "" {
		return m.findByID(ctx, f)
	}
	if !isPrintableASCII(f.Email) || !isPrintableASCII(f.Role) {
		return Page{}, nil // addresses and roles are printable ASCII, so no account matches
	}
	limit = min(cmp.Or(max(limit, 0), DefaultLimit), MaxLimit)
	s := search{Filter: f, limit: limit}
	s.rangeKind, s.after, _ = strings.Cut(after, ":")
	var next string
	err = m.store.View(ctx, func(tx Tx) error {
		page.Items, next, err = s.readPage(ctx, tx)
		return err
	})
	if next != "" {
		page.Next = m.sealCursor(f.cursorScope(), next)
	}
	return page, err
}

// A search is a filter, the range to read, and a position in that range.
type search struct {
	Filter
	rangeKind string // byAddress or byRole; empty on the first page, which chooses the range
	after     string // an address or an id
	limit     int
}

// readPage returns the accounts of a page, and the position of the next page or "".
func (s search) readPage(ctx context.Context, tx Tx) (items []Account, next string, err error) {
	if s.rangeKind == "" {
		if s.rangeKind, err = chooseRange(ctx, tx, s.Filter); err != nil {
			return nil, "", err
		}
	}
	// One account more than the limit shows whether there is a next page.
	scan := s.limit + 1
	switch {
	case s.rangeKind == byRole && s.Email != "":
		scan = maxSmallRole
	case s.State != "" || s.Factor != "" || s.rangeKind == byAddress && s.Role != "":
		scan = maxScanned
	}
	read := s.readAddresses
	if s.rangeKind == byRole {
		read = s.readRoleMembers
	}
	items, last, found, err := read(ctx, tx, scan)
	if n := len(items); n == s.limit && s.positionAfter(items[n-1]) != last {
		next = s.rangeKind + ":" + s.positionAfter(items[n-1])
	} else if found == scan {
		next = s.rangeKind + ":" + last
	}
	return items, next, err
}

// The ranges that a search can read. The position in a cursor begins with the name of its range.
const (
	byAddress = "address"
	byRole    = "role"
)

func chooseRange(ctx context.Context, tx Tx, f Filter) (string, error) {
	switch {
	case f.Role == "":
		return byAddress, nil
	case f.Email == "":
		return byRole, nil
	}
	_, found, err := tx.LastWithRole(ctx, f.Role, "", maxSmallRole)
	if err == nil && found < maxSmallRole {
		return byRole, nil
	}
	return byAddress, err
}

// readAddresses reads at most maxRead accounts whose addresses have the prefix. It returns the accounts that match the
// filter, at most s.limit. It also returns the last address that it read, and how many accounts it read.
func (s search) readAddresses(
	ctx context.Context, tx Tx, maxRead int,
) (items []Account, last string, found int, err error) {
	// Addresses are printable ASCII. Therefore address+next sorts directly after the address, and prefix+end sorts
	// after all addresses with the prefix.
	const next, end = "\x01", "\x7f"
	prefix := watchword.Address(s.Email)
	from, below := max(prefix, watchword.Address(s.after)+next), prefix+end
	reached, found, err := tx.LastAccount(ctx, from, below, maxRead)
	if err != nil || found == 0 {
		return nil, "", 0, err
	}
	items, err = tx.Accounts(ctx, from, reached+next, s.Filter, s.limit)
	return items, string(reached), found, err
}

// readRoleMembers does the same as readAddresses for accounts with a role. It returns the last id instead of the last
// address.
func (s search) readRoleMembers(
	ctx context.Context, tx Tx, maxRead int,
) (items []Account, last string, found int, err error) {
	id, found, err := tx.LastWithRole(ctx, s.Role, watchword.UserID(s.after), maxRead)
	if err != nil || found == 0 {
		return nil, "", 0, err
	}
	if s.Email == "" {
		items, err = tx.AccountsWithRole(ctx, watchword.UserID(s.after), id, s.Filter, s.limit)
		return items, string(id), found, err
	}
	all, err := tx.AccountsWithRole(ctx, watchword.UserID(s.after), id, s.Filter, maxRead)
	for _, account := range all {
		if s.matches(account) && len(items) < s.limit {
			items = append(items, account)
		}
	}
	return items, string(id), found, err
}

// positionAfter returns the position after an account: its id in the range byRole, and otherwise its address.
func (s search) positionAfter(a Account) string {
	if s.rangeKind == byRole {
		return string(a.ID)
	}
	return string(a.Email)
}

// isPrintableASCII is true for every address and role.
func isPrintableASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (m *Manager) findByID(ctx context.Context, f Filter) (page Page, err error) {
	if !storable.ID(f.ID) {
		return Page{}, nil
	}
	err = m.store.View(ctx, func(tx Tx) error {
		found, err := tx.Account(ctx, watchword.UserID(f.ID))
		if err == nil && f.matches(found) {
			page = Page{Items: []Account{found}}
		}
		return err
	})
	if errors.Is(err, watchword.ErrNotFound) {
		err = nil
	}
	return page, err
}
