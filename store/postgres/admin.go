package postgres

import (
	"context"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// adminStore runs transactions for package admin. Each one is also a transaction of the
// engine, so changes of both commit together or not at all.
type adminStore struct{ *Store }

// Admin returns the store of package admin.
//
// Unstable: for the program watchword.
func (s *Store) Admin() admin.Store { return adminStore{s} }

func (s adminStore) View(ctx context.Context, fn func(admin.Tx) error) error {
	return s.Store.View(ctx, func(tx watchword.Tx) error { return fn(tx.(admin.Tx)) })
}

// Update may run fn more than once, as Store.Update does.
func (s adminStore) Update(ctx context.Context, fn func(admin.Tx) error) error {
	return s.Store.Update(ctx, func(tx watchword.Tx) error { return fn(tx.(admin.Tx)) })
}
