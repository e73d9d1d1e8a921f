package metadata

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/metadata"
)

// This file exports and imports metadata. An export reads only the private objects here. Its caller already has the
// public objects, because they are part of the accounts.

// Private returns the private objects of accounts, except empty ones. The accounts must be sorted by address. One
// query reads all objects.
//
// Unstable: for the export of accounts.
func (m *Manager) Private(ctx context.Context, users []watchword.User) (byUser map[watchword.UserID]string, err error) {
	if len(users) == 0 {
		return nil, nil
	}
	err = m.store.View(ctx, func(tx Tx) error {
		byUser, err = tx.PrivateMetadata(ctx, users[0].Email, users[len(users)-1].Email)
		return err
	})
	return byUser, err
}

// Imports adds metadata to accounts while an import creates them.
//
// Unstable: for the import of accounts.
type Imports struct{ manager *Manager }

// Imports returns an Imports that uses this Manager.
//
// Unstable: for the import of accounts.
func (m *Manager) Imports() Imports { return Imports{m} }

// Problem returns the reason why an account can't have this metadata, or "". It applies the rules of Patch and
// changes no data.
func (i Imports) Problem(u watchword.User, public, private string) (string, error) {
	added, err := mergePatch(Metadata{}, Patch{Public: cmp.Or(public, "{}"), Private: cmp.Or(private, "{}")})
	if err == nil {
		err = i.manager.checkTokenSize(u, added.Public)
	}
	var refusal *watchword.Error
	if errors.As(err, &refusal) {
		return refusal.Detail, nil
	}
	return "", err
}

// Add inserts the metadata of a new account, in the transaction that inserts the account. The metadata has version 1.
func (i Imports) Add(ctx context.Context, tx watchword.Tx, id watchword.UserID, public, private string) error {
	added := Metadata{Version: 1}
	var err, err2 error
	added.Public, err = metadata.Merge("", cmp.Or(public, "{}"))
	added.Private, err2 = metadata.Merge("", cmp.Or(private, "{}"))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	written, err := tx.(Tx).SetMetadata(ctx, id, added, 0) //nolint:forcetypeassert // all stores implement Tx
	if err == nil && !written {
		err = fmt.Errorf("the new account %s has metadata already", id)
	}
	return err
}
