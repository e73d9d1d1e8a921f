package client

import (
	"cmp"
	"context"
	"iter"
)

// Events finds security events, including the events of deleted accounts.
type Events struct{ c *caller }

// List returns the events of all pages, the newest first.
func (e Events) List(ctx context.Context, q AdminEventsQuery) iter.Seq2[EventAnswer, error] {
	return iteratePages(func(after string) ([]EventAnswer, string, error) {
		q.After = cmp.Or(after, q.After)
		page, err := e.Page(ctx, q)
		return page.Items, page.Next, err
	})
}

// Page returns one page. A page with Next can have fewer items than the limit, or even zero
// items.
func (e Events) Page(ctx context.Context, q AdminEventsQuery) (EventsAnswer, error) {
	return callWithRetry[EventsAnswer](ctx, e.c, getAdminEvents, request{query: q.values()})
}

// Mails lists the mails that were not sent yet, and retries them.
type Mails struct{ c *caller }

// List returns waiting and abandoned mails, the oldest first.
func (m Mails) List(ctx context.Context, q AdminMailsQuery) iter.Seq2[OutboxMailAnswer, error] {
	return iteratePages(func(after string) ([]OutboxMailAnswer, string, error) {
		q.After = cmp.Or(after, q.After)
		page, err := m.Page(ctx, q)
		return page.Items, page.Next, err
	})
}

// Page returns one page.
func (m Mails) Page(ctx context.Context, q AdminMailsQuery) (MailsAnswer, error) {
	return callWithRetry[MailsAnswer](ctx, m.c, getAdminMails, request{query: q.values()})
}

// Retry sends a mail now, even if it was abandoned. If it was sent meanwhile, the error has
// CodeNotFound.
func (m Mails) Retry(ctx context.Context, id string) error {
	_, err := callWithRetry[Message](ctx, m.c, postAdminMailsByIDRetry, request{pathIDs: []string{id}})
	return err
}

// Keys shows and rotates the signing and refresh keys of the server.
type Keys struct{ c *caller }

// List returns the states of all keys.
func (k Keys) List(ctx context.Context) ([]KeyStateAnswer, error) {
	answer, err := callWithRetry[KeyStatesAnswer](ctx, k.c, getAdminKeys, request{})
	return answer.Items, err
}

// Rotate activates the next key for keyUse, which is "sign" or "refresh". Tokens of the old key stay valid until they
// expire.
func (k Keys) Rotate(ctx context.Context, keyUse string) ([]KeyStateAnswer, error) {
	answer, err := callWithRetry[KeyStatesAnswer](ctx, k.c, postAdminKeysRotate, request{body: RotateKeys{Use: keyUse}})
	return answer.Items, err
}

// Stats returns the numbers of accounts, live sessions, unsent mails and recent events.
func (c *Client) Stats(ctx context.Context) (StatsAnswer, error) {
	return callWithRetry[StatsAnswer](ctx, c.c, getAdminStats, request{})
}
