package usersearch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/usersearch"
)

func TestFilterMatches(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	ada := watchword.User{Email: "ada@example.com", Name: "Ada Lovelace", Roles: []string{"admin"}, VerifiedAt: now}
	disabled := ada
	disabled.DisabledAt = now
	fresh := watchword.User{Email: "new@example.com"}
	for name, c := range map[string]struct {
		filter usersearch.Filter
		user   watchword.User
		want   bool
	}{
		"everything":               {usersearch.Filter{}, fresh, true},
		"part of the address":      {usersearch.Filter{Contains: "A@EX"}, ada, true},
		"part of the name":         {usersearch.Filter{Contains: "LOVE"}, ada, true},
		"part of neither":          {usersearch.Filter{Contains: "grace"}, ada, false},
		"address and name joined":  {usersearch.Filter{Contains: "comada"}, ada, false},
		"wildcards are characters": {usersearch.Filter{Contains: "a%a"}, ada, false},
		"the role":                 {usersearch.Filter{Role: "admin"}, ada, true},
		"another role":             {usersearch.Filter{Role: "adm"}, ada, false},
		"active":                   {usersearch.Filter{State: "active"}, ada, true},
		"disabled":                 {usersearch.Filter{State: "disabled"}, disabled, true},
		"disabled is not active":   {usersearch.Filter{State: "active"}, disabled, false},
		"unverified":               {usersearch.Filter{State: "unverified"}, fresh, true},
		"both must hold":           {usersearch.Filter{Role: "admin", Contains: "grace"}, ada, false},
	} {
		if got := c.filter.Matches(c.user); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

type fakeLister struct {
	users     []watchword.User
	pageSizes []int
	err       error
}

func (l *fakeLister) UsersBetween(
	_ context.Context, from, below watchword.Address, limit int,
) (page []watchword.User, err error) {
	for _, u := range l.users {
		if u.Email >= from && u.Email < below && len(page) < limit {
			page = append(page, u)
		}
	}
	l.pageSizes = append(l.pageSizes, len(page))
	return page, l.err
}

func TestFindAcceptsAnInternationalDomain(t *testing.T) {
	t.Parallel()
	all := &fakeLister{users: []watchword.User{{Email: "ada@xn--bcher-kva.example"}}}
	found, err := usersearch.Find(t.Context(), all, usersearch.Filter{Prefix: "Ada@Bücher.ex"}, "", 10)
	if err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
}

func TestFindReadsARangeInPages(t *testing.T) {
	t.Parallel()
	all := &fakeLister{}
	for n := range 2500 {
		u := watchword.User{Email: watchword.Address(fmt.Sprintf("user%04d@example.com", n))}
		if n%1000 == 999 {
			u.Roles = []string{"rare"}
		}
		all.users = append(all.users, u)
	}
	for name, c := range map[string]struct {
		filter usersearch.Filter
		after  watchword.Address
		limit  int
		want   int
		pages  []int
	}{
		"one":                      {usersearch.Filter{}, "", 1, 1, []int{100}},
		"all":                      {usersearch.Filter{}, "", 10_000, 2500, []int{1000, 1000, 500}},
		"a limit between pages":    {usersearch.Filter{}, "", 1500, 1500, []int{1000, 1000}},
		"a prefix in another case": {usersearch.Filter{Prefix: "USER12"}, "", 1000, 100, []int{100}},
		"a whole address":          {usersearch.Filter{Prefix: "user1200@example.com"}, "", 1000, 1, []int{1}},
		"no possible address":      {usersearch.Filter{Prefix: "üser"}, "", 1000, 0, nil},
		"an unknown prefix":        {usersearch.Filter{Prefix: "w"}, "", 1000, 0, []int{0}},
		"after the prefix begins":  {usersearch.Filter{Prefix: "user12"}, "user1249@example.com", 1000, 50, []int{50}},
		"after the prefix ends":    {usersearch.Filter{Prefix: "user12"}, "user2000@example.com", 1000, 0, []int{0}},
		"before the prefix":        {usersearch.Filter{Prefix: "user12"}, "user0000", 1000, 100, []int{100}},
		"a rare role":              {usersearch.Filter{Role: "rare"}, "", 1000, 2, []int{1000, 1000, 500}},
		"the first of a rare role": {usersearch.Filter{Role: "rare"}, "", 1, 1, slices.Repeat([]int{100}, 10)},
	} {
		all.pageSizes = nil
		found, err := usersearch.Find(t.Context(), all, c.filter, c.after, c.limit)
		if err != nil || len(found) != c.want || !slices.Equal(all.pageSizes, c.pages) {
			t.Errorf("%s: %d in pages %v, %v; want %d in %v", name, len(found), all.pageSizes, err, c.want, c.pages)
		}
	}
	broken := &fakeLister{err: errors.New("broken")}
	if _, err := usersearch.Find(t.Context(), broken, usersearch.Filter{}, "", 10); !errors.Is(err, broken.err) {
		t.Errorf("got %v", err)
	}
}
