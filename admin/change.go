package admin

import (
	"context"
	"slices"
	"strconv"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/storable"
)

// Changes of accounts. The engine carries them out (watchword.Operator), and its events name
// the administrator. This file adds two rules that the command line does not have: callers
// can't change their own roles, and at least one enabled administrator remains.

// CodeOwnRoles is the code of the error for callers who try to change their own roles.
const CodeOwnRoles watchword.Code = "OWN_ROLES"

// Operator returns the engine's operations, whose events name the caller. These operations don't check that an
// administrator remains (Inside.KeepAdmin). Operations on mails, keys and sessions don't need this check, and Change
// makes it itself.
func (m *Manager) Operator(by Caller) watchword.Operator {
	return m.engine.Operator(by.Name(), func(context.Context, watchword.Tx) error { return nil })
}

// User returns one account. Codes: CodeNotFound.
func (m *Manager) User(ctx context.Context, id watchword.UserID) (account Account, err error) {
	page, err := m.findByID(ctx, Filter{ID: string(id)})
	if err == nil && len(page.Items) == 0 {
		err = refuse(watchword.CodeNotFound, "No account has this id.")
	}
	if err != nil {
		return Account{}, err
	}
	return page.Items[0], nil
}

// A Change is a change of an account. Nil fields leave the values as they are.
type Change struct {
	Name     *string
	Roles    *[]string
	Disabled *bool

	// With, if it is not nil, makes the part of the change that belongs to another package, such as metadata. It runs
	// first in the transaction, and again if the transaction is retried. It returns the events of its part.
	With func(context.Context, watchword.Tx) ([]watchword.Event, error)
}

// decideRoles returns an error if a caller must not replace the roles of an account. Administrators can't change
// their own roles. A service key needs ScopeRolesWrite. It can neither change the roles of an administrator nor set
// the role admin, so a leaked key can't create administrators.
func decideRoles(by Caller, id watchword.UserID, before, wanted []string) *watchword.Error {
	isAdmin := func(roles []string) bool { return slices.Contains(roles, watchword.RoleAdmin) }
	switch {
	case by.Key.ID == "" && id != "" && id == by.User.ID:
		return refuse(CodeOwnRoles, "You can't change your own roles. Ask another administrator.")
	case by.Key.ID == "" || (id == "" && len(wanted) == 0):
		return nil
	case !by.Key.Has(ScopeRolesWrite):
		return refuse(watchword.CodeInsufficientScope, "This service key needs the scope "+string(ScopeRolesWrite)+".")
	case isAdmin(before) || isAdmin(wanted):
		return keyForbidden()
	}
	return nil
}

// MayResetFactors decides whether a caller may remove the second factors of an account. Codes: CodeNotFound,
// CodeInsufficientScope (a service key can't change an administrator).
func (m *Manager) MayResetFactors(ctx context.Context, by Caller, id watchword.UserID) error {
	account, err := m.User(ctx, id)
	if err == nil && by.Key.ID != "" && account.HasRole(watchword.RoleAdmin) {
		return keyForbidden()
	}
	return err
}

// Change changes an account in one transaction. It calls With, and then changes the roles, the state and the name.
// After an error, the account is unchanged. Values that the account already has cause no change and no event. If the
// roles have just changed, a new change of roles first waits up to five seconds, because each change takes effect at
// its own second (watchword.Operator.AwaitRoles). A repeated request with the same idempotency key returns the
// current account. Codes: CodeNotFound (even for a repeated request, after a deletion), CodeOwnRoles, CodeLastAdmin,
// CodeValidationFailed (name, roles), CodeInsufficientScope (a service key, and roles), CodeTryLater (the address
// just changed), and those of With.
func (m *Manager) Change(ctx context.Context, by Caller, id watchword.UserID, c Change) (Account, error) {
	before, err := m.User(ctx, id)
	if _, repeated := by.Repeated(); repeated || err != nil {
		return before, err
	}
	// AwaitRoles runs before the transaction, so that no lock is held during the wait. The permission is checked
	// before AwaitRoles, so that a refused change does not wait.
	if err := c.decidePermission(by, before.User); err != nil {
		return Account{}, err
	}
	if c.changesRoles(before.User) {
		if err := m.Operator(by).AwaitRoles(ctx, id); err != nil {
			return Account{}, err
		}
	}
	var events []watchword.Event
	err = m.store.Update(ctx, func(tx Tx) (err error) {
		events = nil // drop the events of an earlier attempt
		// Hold locks the account, so concurrent changes run one after the other.
		before, err := m.engine.Hold(ctx, tx, id)
		if err == nil && c.With != nil {
			events, err = c.With(ctx, tx)
		}
		if err == nil {
			err = c.decidePermission(by, before)
		}
		if err != nil {
			return err
		}
		err = c.applyToAccount(ctx, m.Operator(by).In(tx, &events), before)
		if err == nil && (c.With != nil || c.Roles != nil) {
			err = m.checkTokenSize(ctx, tx, before)
		}
		if err == nil && (c.Roles != nil || c.Disabled != nil) {
			err = m.engine.KeepAdmin(ctx, tx) // at the end, because its lock delays changes of all accounts
		}
		if err != nil {
			return err
		}
		return m.finishInTx(ctx, tx, by, statusOK, "")
	})
	if err != nil {
		return Account{}, err
	}
	m.engine.Announce(events...)
	return m.User(ctx, id)
}

// checkTokenSize refuses a change after which an access token could be too long. Roles and metadata share the space
// in a token.
func (m *Manager) checkTokenSize(ctx context.Context, tx Tx, before watchword.User) error {
	after, err := tx.User(ctx, before.ID)
	if err == nil {
		err = m.engine.CheckToken(before, after)
	}
	return err
}

// wantedRoles returns the new roles in sorted order, because accounts store sorted roles.
func (c Change) wantedRoles() []string { return slices.Sorted(slices.Values(*c.Roles)) }

func (c Change) changesRoles(before watchword.User) bool {
	return c.Roles != nil && !slices.Equal(c.wantedRoles(), before.Roles)
}

func (c Change) decidePermission(by Caller, before watchword.User) error {
	if c.Roles == nil {
		return nil
	}
	if refusal := decideRoles(by, before.ID, before.Roles, *c.Roles); refusal != nil {
		return refusal
	}
	return nil
}

// applyToAccount makes every part of the change except With.
func (c Change) applyToAccount(ctx context.Context, operator watchword.Operator, before watchword.User) error {
	if c.changesRoles(before) {
		if _, err := operator.SetRoles(ctx, before.ID, c.wantedRoles()); err != nil {
			return err
		}
	}
	if c.Disabled != nil && *c.Disabled != before.Disabled() {
		set := operator.EnableUser
		if *c.Disabled {
			set = operator.DisableUser
		}
		if err := set(ctx, before.ID); err != nil {
			return err
		}
	}
	if c.Name != nil && *c.Name != before.Name {
		return operator.Rename(ctx, before.ID, *c.Name)
	}
	return nil
}

// Delete deletes an account and ends its sessions. Codes: CodeNotFound, CodeLastAdmin.
func (m *Manager) Delete(ctx context.Context, by Caller, id watchword.UserID) error {
	if _, repeated := by.Repeated(); repeated {
		return nil
	}
	if _, err := m.User(ctx, id); err != nil {
		return err
	}
	// If administrators delete their own account, no result is stored. The deletion would delete the result, too.
	if id == by.User.ID {
		return m.engine.Operator(by.Name(), m.engine.KeepAdmin).DeleteUser(ctx, id)
	}
	return m.finishingOperator(by, statusOK, m.engine.KeepAdmin).DeleteUser(ctx, id)
}

// SendMail mails a link to choose a password (watchword.MailReset) or to verify the address
// (watchword.MailVerify). An invited user gets another invitation instead, and MailInvite is only for
// invited users. Codes: CodeNotFound, CodeValidationFailed (email: it is verified already, or the user was
// not invited).
func (m *Manager) SendMail(ctx context.Context, by Caller, id watchword.UserID, kind watchword.MailKind) error {
	if _, repeated := by.Repeated(); repeated {
		return nil
	}
	if !storable.ID(string(id)) {
		return refuse(watchword.CodeNotFound, "No account has this id.")
	}
	if kind == watchword.MailInvite {
		account, err := m.User(ctx, id)
		if err != nil {
			return err
		}
		if account.PasswordHash != "" || account.Verified() {
			return errNotInvited()
		}
	}
	operator := m.finishingOperator(by, statusAccepted, nil)
	if kind == watchword.MailVerify {
		return operator.SendVerification(ctx, id)
	}
	return operator.SendReset(ctx, id)
}

// errNotInvited refuses an invitation mail for an account that is already in use. An invitation link sets a new
// password, so the reader of the mail could take over the account.
func errNotInvited() error {
	refusal := refuse(watchword.CodeValidationFailed,
		"This account has a password or a verified address. Send a mail to choose a new password instead.")
	refusal.Fields = []watchword.FieldError{{Field: "email", Code: watchword.FieldInvalid, Message: refusal.Detail}}
	return refusal
}

// EndSessions ends one session of an account, or all ("" as session), and returns the number of
// ended sessions. Codes: CodeNotFound.
func (m *Manager) EndSessions(
	ctx context.Context, by Caller, id watchword.UserID, session watchword.SessionID,
) (int, error) {
	if before, repeated := by.Repeated(); repeated {
		return strconv.Atoi(before)
	}
	if _, err := m.User(ctx, id); err != nil {
		return 0, err
	}
	ended, err := 1, error(nil)
	if session == "" {
		ended, err = m.Operator(by).EndUserSessions(ctx, id)
	} else {
		err = m.Operator(by).EndUserSession(ctx, id, session)
	}
	by.setClaimResult(strconv.Itoa(ended))
	return ended, err
}

// RetryMail reschedules a mail of the outbox for now. Codes: CodeNotFound.
func (m *Manager) RetryMail(ctx context.Context, by Caller, id string) error {
	if _, repeated := by.Repeated(); repeated {
		return nil
	}
	n := 0
	var err error
	if id != "" {
		n, err = m.Operator(by).RetryMail(ctx, id)
	}
	if err == nil && n == 0 {
		err = refuse(watchword.CodeNotFound, "No mail of the outbox has this id.")
	}
	return err
}

// RotateKeys activates the next key for a KeyUse and returns all keys. Codes: CodeNotFound, CodeRateLimited.
func (m *Manager) RotateKeys(ctx context.Context, by Caller, use watchword.KeyUse) ([]watchword.KeyInfo, error) {
	if _, repeated := by.Repeated(); repeated {
		return m.Operator(by).Keys(ctx)
	}
	return m.Operator(by).RotateKeys(ctx, use)
}
