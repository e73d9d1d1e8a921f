package sqlite

import (
	"context"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// federationStore gives package federation its transactions. They are those of the engine, so both
// change their rows together or not at all.
type federationStore struct{ *Store }

// Federation returns the store of package federation.
func (s *Store) Federation() federation.Store { return federationStore{s} }

func (s federationStore) View(ctx context.Context, fn func(federation.Tx) error) error {
	return s.Store.View(ctx, func(tx watchword.Tx) error { return fn(tx.(federation.Tx)) })
}

// Update runs fn once, as Store.Update does.
func (s federationStore) Update(ctx context.Context, fn func(federation.Tx) error) error {
	return s.Store.Update(ctx, func(tx watchword.Tx) error { return fn(tx.(federation.Tx)) })
}
