package client

import (
	"cmp"
	"context"
	"iter"
)

// ServiceKeys manages the credentials of programs. It needs the access token of an administrator: no service
// key may create or revoke keys.
type ServiceKeys struct{ c *caller }

// List returns all keys, including expired and revoked keys, the newest first.
func (s ServiceKeys) List(ctx context.Context, q AdminServiceKeysQuery) iter.Seq2[ServiceKeyAnswer, error] {
	return iteratePages(func(after string) ([]ServiceKeyAnswer, string, error) {
		q.After = cmp.Or(after, q.After)
		page, err := s.Page(ctx, q)
		return page.Items, page.Next, err
	})
}

// Page returns one page.
func (s ServiceKeys) Page(ctx context.Context, q AdminServiceKeysQuery) (ServiceKeysAnswer, error) {
	return callWithRetry[ServiceKeysAnswer](ctx, s.c, getAdminServiceKeys, request{query: q.values()})
}

// Create creates a key. Only this response contains the key. If the response was lost, another attempt with the same
// Idempotency-Key returns an empty Key. In this case, revoke the key by its id, and create another key.
func (s ServiceKeys) Create(ctx context.Context, body CreateServiceKey) (CreatedServiceKeyAnswer, error) {
	return callWithRetry[CreatedServiceKeyAnswer](ctx, s.c, postAdminServiceKeys, request{body: body})
}

// Revoke makes a key invalid at its next request. If the key was revoked before, the error has
// CodeNotFound.
func (s ServiceKeys) Revoke(ctx context.Context, id string) error {
	_, err := callWithRetry[Message](ctx, s.c, deleteAdminServiceKeysByID, request{pathIDs: []string{id}})
	return err
}
