package sqlite

import (
	"context"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// adminStore runs transactions for package admin. In each transaction, package admin and the engine can both make
// changes, and all changes commit together or not at all.
type adminStore struct{ *Store }

// Admin returns the store of package admin.
//
// Unstable: for the program watchword.
func (s *Store) Admin() admin.Store { return adminStore{s} }

func (s adminStore) View(ctx context.Context, fn func(admin.Tx) error) error {
	return s.Store.View(ctx, func(tx watchword.Tx) error { return fn(tx.(admin.Tx)) })
}

// Update runs fn once in a transaction, like Store.Update.
func (s adminStore) Update(ctx context.Context, fn func(admin.Tx) error) error {
	return s.Store.Update(ctx, func(tx watchword.Tx) error { return fn(tx.(admin.Tx)) })
}
