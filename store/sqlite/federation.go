package sqlite

import (
	"context"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// federationStore runs transactions for package federation. Each one is also a transaction of the
// engine, so changes of both commit together or not at all.
type federationStore struct{ *Store }

// Federation returns the store of package federation.
//
// Unstable: as package federation is.
func (s *Store) Federation() federation.Store { return federationStore{s} }

func (s federationStore) View(ctx context.Context, fn func(federation.Tx) error) error {
	return s.Store.View(ctx, func(tx watchword.Tx) error { return fn(tx.(federation.Tx)) })
}

// Update runs fn once, as Store.Update does.
func (s federationStore) Update(ctx context.Context, fn func(federation.Tx) error) error {
	return s.Store.Update(ctx, func(tx watchword.Tx) error { return fn(tx.(federation.Tx)) })
}
