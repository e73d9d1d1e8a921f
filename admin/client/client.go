package client

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/weborigin"
)

// Options configure a Client: the server that it calls, and the credentials.
type Options struct {
	URL string // such as https://id.example.com; with admin-on=admin, the URL of the admin listener

	// Key is a service key, or the access token of an administrator.
	Key string
	// KeyFunc, if it is set, returns the key for each request. Use it for access tokens, because they expire.
	KeyFunc func(context.Context) (string, error)

	Timeout time.Duration // for one attempt; default: 10 s
	HTTP    *http.Client  // default: http.DefaultClient. Its CheckRedirect and Timeout are ignored
}

// A Client calls one server. It is safe for concurrent use.
type Client struct {
	Users       Users
	Sessions    Sessions
	Metadata    Metadata
	ServiceKeys ServiceKeys
	Events      Events
	Mails       Mails
	Keys        Keys

	c *caller
}

// New returns a client, and sends no request yet.
func New(o Options) (*Client, error) {
	base, err := checkURL(o.URL)
	if err != nil {
		return nil, err
	}
	key := o.KeyFunc
	if key == nil {
		if err := checkKey(o.Key); err != nil {
			return nil, err
		}
		key = func(context.Context) (string, error) { return o.Key, nil }
	}
	chosen := *cmp.Or(o.HTTP, http.DefaultClient)
	chosen.Timeout = 0
	// A redirect must not send the key to another address, not even in the same domain.
	chosen.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &caller{base: base, key: key, http: &chosen, timeout: cmp.Or(o.Timeout, 10*time.Second), retryWait: retryPause}
	return &Client{Users{c}, Sessions{c}, Metadata{c}, ServiceKeys{c}, Events{c}, Mails{c}, Keys{c}, c}, nil
}

// checkURL returns a valid URL without the slash at its end. Errors don't contain the URL, because it may contain a
// password.
func checkURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("client: URL is not an address such as https://id.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("client: URL has a user, a query or a fragment")
	case u.Scheme == "http" && !weborigin.IsLoopback(u.Host):
		return "", errors.New("client: URL has no TLS, so the key could be read on the network: write https")
	}
	return strings.TrimRight(text, "/"), nil
}

var keyShape = regexp.MustCompile(`^[!-~]+$`)

// checkKey refuses a key that is invalid in a header, such as a key with the newline at the end
// of a file.
func checkKey(key string) error {
	if !keyShape.MatchString(key) {
		return errors.New("client: the key is empty, or has a blank, a newline or a letter that is not ASCII")
	}
	return nil
}

// Users finds and changes accounts.
type Users struct{ c *caller }

// List returns the accounts of all pages. It begins at the cursor q.After and stops at the first
// error.
func (u Users) List(ctx context.Context, q AdminUsersQuery) iter.Seq2[AdminUser, error] {
	return iteratePages(func(after string) ([]AdminUser, string, error) {
		q.After = cmp.Or(after, q.After)
		page, err := u.Page(ctx, q)
		return page.Items, page.Next, err
	})
}

// Page returns one page. A page with Next can have fewer items than the limit, or even zero
// items.
func (u Users) Page(ctx context.Context, q AdminUsersQuery) (AdminUsersAnswer, error) {
	return callWithRetry[AdminUsersAnswer](ctx, u.c, getAdminUsers, request{query: q.values()})
}

// Get returns an account with its metadata, live sessions and last events. For an unknown id, the error has
// CodeNotFound.
func (u Users) Get(ctx context.Context, id string) (AdminUserDetailAnswer, error) {
	return callWithRetry[AdminUserDetailAnswer](ctx, u.c, getAdminUsersByID, request{pathIDs: []string{id}})
}

// Create creates an account. With Invite, the address gets a mail with a link to choose a password.
func (u Users) Create(ctx context.Context, body AdminInvite) (AdminUserAnswer, error) {
	return callWithRetry[AdminUserAnswer](ctx, u.c, postAdminUsers, request{body: body})
}

// Invite creates an account and mails an invitation to its address.
func (u Users) Invite(ctx context.Context, email string, roles ...string) (AdminUserAnswer, error) {
	return u.Create(ctx, AdminInvite{Email: email, Roles: roles, Invite: true})
}

// Update changes the members that are set. Roles that are not nil replace all roles of the account.
func (u Users) Update(ctx context.Context, id string, change AdminChange) (AdminUserAnswer, error) {
	return callWithRetry[AdminUserAnswer](ctx, u.c, patchAdminUsersByID, request{pathIDs: []string{id}, body: change})
}

// Delete deletes an account at once and for good.
func (u Users) Delete(ctx context.Context, id string) error {
	_, err := callWithRetry[Message](ctx, u.c, deleteAdminUsersByID, request{pathIDs: []string{id}})
	return err
}

// InviteMail mails another invitation. The earlier invitation stops working.
func (u Users) InviteMail(ctx context.Context, id string) error {
	_, err := callWithRetry[Message](ctx, u.c, postAdminUsersByIDInvite, request{pathIDs: []string{id}})
	return err
}

// ResetMail mails a link to choose a password. An invited user without a password gets another invitation.
func (u Users) ResetMail(ctx context.Context, id string) error {
	_, err := callWithRetry[Message](ctx, u.c, postAdminUsersByIDResetMail, request{pathIDs: []string{id}})
	return err
}

// VerifyMail mails a link to verify the address. If the address is verified already, the error
// has CodeValidationFailed.
func (u Users) VerifyMail(ctx context.Context, id string) error {
	_, err := callWithRetry[Message](ctx, u.c, postAdminUsersByIDVerifyMail, request{pathIDs: []string{id}})
	return err
}

// ResetFactors removes all second factors of an account, and ends its sessions.
func (u Users) ResetFactors(ctx context.Context, id string) error {
	_, err := callWithRetry[Message](ctx, u.c, postAdminUsersByIDResetFactors, request{pathIDs: []string{id}})
	return err
}

// Explain returns why an account was signed out. It also accepts the id of a deleted account.
func (u Users) Explain(ctx context.Context, id string, q AdminUsersExplainQuery) (AdminExplainAnswer, error) {
	return callWithRetry[AdminExplainAnswer](ctx, u.c, getAdminUsersByIDExplain,
		request{pathIDs: []string{id}, query: q.values()})
}

// Sessions lists and ends sessions of accounts.
type Sessions struct{ c *caller }

// List returns the live sessions of an account, sorted by last use, newest first.
func (s Sessions) List(ctx context.Context, user string) ([]Session, error) {
	detail, err := Users(s).Get(ctx, user)
	return detail.Sessions, err
}

// End ends one session. If the session is not live, the error has CodeNotFound.
func (s Sessions) End(ctx context.Context, user, session string) error {
	_, err := callWithRetry[AdminEndedAnswer](ctx, s.c, deleteAdminUsersByIDSessionsBySID,
		request{pathIDs: []string{user, session}})
	return err
}

// EndAll signs an account out everywhere and returns how many sessions were live.
func (s Sessions) EndAll(ctx context.Context, user string) (int64, error) {
	answer, err := callWithRetry[AdminEndedAnswer](ctx, s.c, deleteAdminUsersByIDSessions,
		request{pathIDs: []string{user}})
	return answer.Ended, err
}
