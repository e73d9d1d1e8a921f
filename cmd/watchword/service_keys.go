package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// serviceKeysCmd manages the credentials of programs that use the administration API. The
// commands work on the store, so they need no running server and no administrator. Running
// servers accept a new key at once. They refuse the next request with a revoked key.
type serviceKeysCmd struct {
	Create serviceKeyCreate `cmd:"" help:"Create a service key and print it. It is shown once."`
	List   serviceKeyList   `cmd:"" help:"List service keys, also expired and revoked ones."`
	Revoke serviceKeyRevoke `cmd:"" help:"Revoke a service key. Every server refuses it at the next request."`
}

// serviceKeyCreate prints the key on a separate line, so that a script can store it without
// parsing:
//
// watchword service-keys create billing --scope users:read >billing.key
//
// Operators can't choose the key. A chosen key could be weak, or in use somewhere else.
type serviceKeyCreate struct {
	Name    string   `arg:"" help:"The program that will use the key."`
	Scopes  []string `name:"scope" required:"" placeholder:"SCOPE" help:"What the key may do: users:read, users:write, roles:write, sessions:end, events:read, mail or keys. Repeat it, or write several with commas."`
	Expires string   `name:"expires" default:"365d" help:"How long the key works, such as 90d or 12h. At most 3650d."`
	JSON    bool     `name:"json" help:"Print JSON."`
}

// Run prints the key to standard output and everything else to standard error, so a redirect to
// a file stores only the key. It checks the lifetime before it opens the store, so that a
// typing error is reported without a connection.
//
// The admin manager checks the name and the scopes, as for requests to the API. Its error names
// the faulty value.
func (c *serviceKeyCreate) Run(ctx context.Context, p *program) error {
	life, err := parseLifetime(c.Expires)
	if err != nil {
		return err
	}
	s, err := p.openExisting(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	key, secret, err := p.settings.newAdminManager(s).CreateServiceKey(ctx, p.adminCaller(),
		admin.NewServiceKey{Name: c.Name, Scopes: c.Scopes, Life: life})
	if err != nil {
		return err
	}
	// The JSON has the key and its id, because a script needs the id to revoke the key later.
	if c.JSON {
		view := newServiceKeyView(key, time.Now())
		view.Key = string(secret)
		return p.printJSON(view)
	}
	p.say("%s", string(secret))
	fmt.Fprintf(p.err, "Store the key now: it can't be shown again. Revoke it with `watchword service-keys revoke %s`.\n",
		key.ID)
	return nil
}

// parseLifetime accepts a Go duration, or days such as 90d, because a year in hours is hard to
// read. The store keeps the time of expiry and not the lifetime. A new default in a later
// release therefore does not change existing keys.
func parseLifetime(text string) (time.Duration, error) {
	hours := text
	if days, found := strings.CutSuffix(text, "d"); found {
		hours = days + "h"
	}
	// A day always has 24 hours, even when a clock changes, because a key need not expire at
	// the time of day of its creation.
	life, err := time.ParseDuration(hours)
	if hours != text {
		life *= 24
	}
	if err != nil || life <= 0 {
		return 0, faults{{"--expires", "is not a duration. Write 90d or 12h."}}
	}
	return life, nil
}

// adminCaller is the person who runs the command, for the administration functions and their
// events. The person needs no roles and no scopes, because the operating system has
// authenticated the person. The person can read the store and the master key anyway.
func (p *program) adminCaller() admin.Caller { return admin.Caller{Shell: p.operatorName()} }

// serviceKeyList shows all keys and when they were last used. LAST USED is exact to the minute,
// because a server does not write it at every request.
type serviceKeyList struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run reads all pages, because an installation has few keys. The list has no secret, so its
// output may be stored.
func (c *serviceKeyList) Run(ctx context.Context, p *program) error {
	s, err := p.openToRead(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	keys, err := listServiceKeys(ctx, p.settings.newAdminManager(s))
	if err != nil {
		return err
	}
	// One time is used for all rows, because a key may expire while the command runs.
	now := time.Now()
	if c.JSON {
		views := make([]serviceKeyView, len(keys))
		for i, k := range keys {
			views[i] = newServiceKeyView(k, now)
		}
		return p.printJSON(map[string]any{"serviceKeys": views})
	}
	// The id is last, because it is the longest and people read the name first.
	t := newTable("NAME", "STATE", "SCOPES", "CREATED", "LAST USED", "EXPIRES", "ID")
	for _, k := range keys {
		t.addRow(k.Name, k.State(now), strings.Join(k.Scopes, ","), tableTime(k.CreatedAt), tableTime(k.LastUsedAt),
			tableTime(k.ExpiresAt),
			k.ID)
	}
	return p.printTable(t)
}

// listServiceKeys returns the newest key first. Each page continues with older keys, so a key
// that is created meanwhile is missing.
func listServiceKeys(ctx context.Context, m *admin.Manager) (all []admin.ServiceKey, err error) {
	for next := ""; ; {
		page, after, err := m.ServiceKeys(ctx, next, admin.MaxLimit)
		if all = append(all, page...); err != nil || after == "" {
			return all, err
		}
		next = after
	}
}

// serviceKeyRevoke takes the id of the key, because two keys may have the same name. To replace
// a key without an interruption, an operator creates a second key with the same name and then
// revokes the first.
type serviceKeyRevoke struct {
	ID string `arg:"" help:"Id of the key, from the list."`
}

// Run does not ask, because a leaked key should end at once, and an operator can create another
// key. A revocation can't be undone.
func (c *serviceKeyRevoke) Run(ctx context.Context, p *program) error {
	s, err := p.openExisting(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	// A key that is already revoked is an error, because the operator may have written a wrong
	// id.
	err = p.settings.newAdminManager(s).RevokeServiceKey(ctx, p.adminCaller(), c.ID)
	if watchword.CodeOf(err) == watchword.CodeNotFound {
		return fmt.Errorf("no service key that can be revoked has this id. List them with `watchword service-keys list`")
	}
	if err == nil {
		p.say("Revoked %s.", c.ID)
	}
	return err
}

// serviceKeyView is a service key in JSON, in the form of the API. Only create sets key.
type serviceKeyView struct {
	ID         string     `json:"id"`
	Key        string     `json:"key,omitempty"`
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes"`
	State      string     `json:"state"`
	CreatedAt  *time.Time `json:"createdAt"`
	ExpiresAt  *time.Time `json:"expiresAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
	RevokedAt  *time.Time `json:"revokedAt"`
}

// newServiceKeyView writes null for a missing time, like the other commands, because scripts do
// not know the zero time of Go.
func newServiceKeyView(k admin.ServiceKey, now time.Time) serviceKeyView {
	return serviceKeyView{ID: k.ID, Name: k.Name, Scopes: k.Scopes, State: k.State(now), CreatedAt: jsonTime(k.CreatedAt),
		ExpiresAt: jsonTime(k.ExpiresAt), LastUsedAt: jsonTime(k.LastUsedAt), RevokedAt: jsonTime(k.RevokedAt)}
}
