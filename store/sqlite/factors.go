package sqlite

import (
	"context"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// factorStore gives package factors its transactions. They are those of the engine, so both
// change their rows together or not at all.
type factorStore struct{ *Store }

// Factors returns the store of package factors.
func (s *Store) Factors() factors.Store { return factorStore{s} }

func (s factorStore) View(ctx context.Context, fn func(factors.Tx) error) error {
	return s.Store.View(ctx, func(tx watchword.Tx) error { return fn(tx.(factors.Tx)) })
}

// Update runs fn once, as Store.Update does.
func (s factorStore) Update(ctx context.Context, fn func(factors.Tx) error) error {
	return s.Store.Update(ctx, func(tx watchword.Tx) error { return fn(tx.(factors.Tx)) })
}
