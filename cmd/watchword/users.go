package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/reusedetail"
	"github.com/watchword-auth/watchword/usersearch"
)

// usersCmd manages accounts. Operators can't see or set the password of an existing account.
// reset-password mails a link, so that only the owner of the address can choose a new password
// (AZ-5).
type usersCmd struct {
	Create        userCreate  `cmd:"" help:"Create an account. Without a password, the user gets an invitation to choose one."`
	List          userList    `cmd:"" aliases:"find" help:"List or find accounts: by prefix of the address, part of it, role, state, session or request."`
	Show          userShow    `cmd:"" help:"Show an account, its sessions and its last events."`
	Rename        userRename  `cmd:"" help:"Change the display name of an account."`
	SetEmail      userEmail   `cmd:"" name:"set-email" help:"Change the address of an account, and mail a link to verify it."`
	Verify        userVerify  `cmd:"" help:"Mark the address of an account as verified, without a mail."`
	Resend        userResend  `cmd:"" help:"Mail another link to verify the address."`
	ClearLimits   userClear   `cmd:"" name:"clear-limits" help:"Reset the limits of an account, after too many attempts."`
	Disable       userDisable `cmd:"" help:"Disable an account and end its sessions."`
	Enable        userEnable  `cmd:"" help:"Enable a disabled account."`
	SetRoles      userRoles   `cmd:"" name:"set-roles" help:"Replace the roles of an account; without roles, remove all."`
	Delete        userDelete  `cmd:"" help:"Delete an account permanently."`
	Import        userImport  `cmd:"" help:"Import accounts of another system, with their passwords, from CSV or JSON."`
	Export        userExport  `cmd:"" help:"Export all accounts to a file that import reads."`
	ResetPassword userReset   `cmd:"" name:"reset-password" help:"Mail a link to choose a new password."`

	Factors      userFactors      `cmd:"" help:"Show the second factors of an account."`
	Identities   userIdentities   `cmd:"" help:"Show the accounts at providers that are connected to an account."`
	ResetFactors userResetFactors `cmd:"" name:"reset-factors" help:"Remove all second factors and end all sessions."`
	Set          userSet          `cmd:"" help:"Set or print the metadata of an account: data of the application."`
}

// accountFlags are the flags of every command on one account. The argument is the address,
// which operators know, or the id, which is in logs and in the `sub` of tokens.
type accountFlags struct {
	Email string `arg:"" help:"Address or id of the account."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// openAndFind opens the store with openStore (program.openToRead or openExisting) and finds the
// account. The caller closes the stack if there is no error. An unknown address gives exit code
// 1, like every refusal by the engine. The engine normalises the address as at sign-up, so the
// case of letters does not matter.
func (f accountFlags) openAndFind(
	ctx context.Context, openStore func(context.Context) (*stack, error),
) (*stack, watchword.User, error) {
	s, err := openStore(ctx)
	if err != nil {
		return nil, watchword.User{}, err
	}
	// An id never contains @, but an address always does.
	look := func() (watchword.User, error) { return s.operator.FindUser(ctx, f.Email) }
	if !strings.Contains(f.Email, "@") {
		look = func() (watchword.User, error) { return s.operator.FindUserByID(ctx, watchword.UserID(f.Email)) }
	}
	user, err := look()
	if err != nil {
		s.close()
		return nil, watchword.User{}, unknownUserError(err, f.Email)
	}
	return s, user, nil
}

// userCreate creates an account in every sign-up mode. A password comes from the terminal or
// from standard input, never from a flag, because other users of the machine can read a command
// line.
type userCreate struct {
	accountFlags
	Name          string   `name:"name" help:"Display name."`
	Roles         []string `name:"role" help:"A role; can be repeated."`
	Locale        string   `name:"locale" help:"Language of the mails, such as pt-BR."`
	Invite        bool     `name:"invite" xor:"password" help:"Mail an invitation to choose the password, valid for 7 days, and print its link. Without this flag, the link is mailed but not printed."`
	NoMail        bool     `name:"no-mail" help:"With --invite: print the link and send no mail."`
	Password      bool     `name:"password" xor:"password" help:"Ask for the password."`
	PasswordStdin bool     `name:"password-stdin" xor:"password" help:"Read the password from standard input."`
}

// Run reads the password before it opens the store, so that a command without a valid password
// creates no database. It creates a missing database, because operators often create the first
// account before the first start. The command needs no running server. If it queues a mail, the
// mail waits in the outbox until a server runs.
func (c *userCreate) Run(ctx context.Context, p *program) (err error) {
	account := watchword.NewUser{Email: c.Email, Name: c.Name, Locale: c.Locale, Roles: c.Roles}
	switch {
	case c.NoMail && !c.Invite:
		return faults{{"--no-mail", "needs --invite: an account without a link and a mail can't be used."}}
	case c.PasswordStdin:
		account.Password, err = p.readPassword()
	case c.Password:
		account.Password, err = p.askPassword()
	}
	if err != nil {
		return err
	}
	s, err := p.openOrCreate(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	user, err := c.createAccount(ctx, p, s, account)
	if watchword.CodeOf(err) == watchword.CodeEmailTaken {
		return fmt.Errorf("the account %s already exists. `watchword users show %s` shows it", c.Email, c.Email)
	}
	if err != nil {
		return err
	}
	link, err := c.invitationLink(ctx, p, s, user)
	if err != nil {
		return err
	}
	if c.JSON {
		shown := map[string]any{"user": userJSON(user)}
		if link != "" {
			shown["link"] = link
		}
		return p.printJSON(shown)
	}
	p.say("Created the account %s, id %s.", user.Email, user.ID)
	if account.Password == "" && !c.NoMail {
		p.say("An invitation is queued. The server sends it when it runs.")
	}
	if link != "" {
		p.say("The link of the invitation works for 7 days. The first person who opens it gets the account:\n%s", link)
	}
	return nil
}

// createAccount uses package admin with --no-mail, because the engine's CreateUser always sends
// a mail. Both packages check address, name and roles in the same way, and store the event with
// the operator's name.
func (c *userCreate) createAccount(
	ctx context.Context, p *program, s *stack, account watchword.NewUser,
) (watchword.User, error) {
	if !c.NoMail {
		return s.operator.CreateUser(ctx, account)
	}
	return p.settings.newAdminManager(s).Create(ctx, p.adminCaller(),
		admin.NewAccount{Email: c.Email, Name: c.Name, Locale: c.Locale, Roles: c.Roles})
}

// invitationLink returns "" without --invite. The URL is as secret as a mailed link, so it is
// printed only on request. With it, the first administrator can sign in before a mail server is
// set up.
func (c *userCreate) invitationLink(ctx context.Context, p *program, s *stack, user watchword.User) (string, error) {
	if !c.Invite {
		return "", nil
	}
	token, err := p.settings.newAdminManager(s).InviteToken(ctx, user.ID)
	if err != nil {
		return "", err
	}
	// The link is not stored, so only this output contains it. If the operator loses it, POST
	// /api/admin/users/{id}/invite mails another link.
	//
	// The token is after the #, as in mails. Browsers don't send this part to the server, so
	// the token is in no access log.
	return strings.TrimSuffix(p.settings.PublicURL, "/") + "/invite#token=" + string(token), nil
}

// userShow prints one account for support: its state, its live sessions and its last events. It
// shows no password hash. Events are deleted after their retention time.
type userShow struct {
	accountFlags
	Events int `name:"events" default:"20" help:"How many of the last events to show."`
}

// Run reads the account, its sessions and its events in three transactions. If the account
// changes meanwhile, the output can be inconsistent. The operator can then run the command
// again.
func (c *userShow) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openToRead)
	if err != nil {
		return err
	}
	defer s.close()
	sessions, err := s.operator.UserSessions(ctx, user.ID)
	if err != nil {
		return err
	}
	events, err := s.operator.UserEvents(ctx, user.ID, max(c.Events, 0))
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{
			"user": userJSON(user), "sessions": sessionsJSON(s.engine, sessions), "events": eventsJSON(events),
		})
	}
	facts := newTable("email", string(user.Email))
	facts.addRow("id", string(user.ID))
	facts.addRow("name", user.Name)
	facts.addRow("roles", strings.Join(user.Roles, ","))
	facts.addRow("state", usersearch.State(user))
	facts.addRow("since", tableTime(user.CreatedAt))
	if err := p.printTable(facts); err != nil {
		return err
	}
	p.say("\nSessions: %d", len(sessions))
	if err := p.printTable(sessionTable(s.engine, sessions)); err != nil {
		return err
	}
	p.say("\nLast events: %d", len(events))
	return p.printTable(eventTable(events))
}

// eventTable prints events. The detail of a reuse event is JSON; the table shows it as text,
// because scripts read --json. BY is the operator, or empty if the user or a stranger caused
// the event.
func eventTable(events []watchword.Event) *table {
	t := newTable("TIME", "EVENT", "FROM", "DEVICE", "DETAIL", "BY", "SESSION")
	for _, e := range events {
		detail := e.Detail
		if reuse, ok := reusedetail.Parse(detail); ok {
			detail = reuse.Words()
		}
		if e.Times > 1 {
			detail += fmt.Sprintf(" (%d times)", e.Times)
		}
		t.addRow(tableTime(e.At), string(e.Kind), e.Address, e.Device, detail, e.Operator, string(e.SessionID))
	}
	return t
}

// userDisable stops an account from signing in and ends its sessions. Access tokens stay valid
// until they expire, except at services that follow the revocation feed. It asks first, because
// it signs the user out everywhere. Enabling restores the account, but no session.
type userDisable struct {
	accountFlags
	confirmation
}

// Run finds the account before it asks. The question names the stored address, so that the
// operator notices a typing error in the argument. One transaction disables the account and
// ends its sessions.
func (c *userDisable) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openExisting)
	if err != nil {
		return err
	}
	defer s.close()
	if err := p.confirm(c.confirmation, fmt.Sprintf("Disable %s and end all of its sessions?", user.Email)); err != nil {
		return err
	}
	if err := s.operator.DisableUser(ctx, user.ID); err != nil {
		return err
	}
	return p.printChange(ctx, s, changedUser{user.Email, c.JSON, "Disabled"})
}

// userEnable lets a disabled account sign in again. Its sessions stay ended. It needs no
// confirmation, because the account can be disabled again.
type userEnable struct{ accountFlags }

// Run also succeeds if the account is not disabled, so that a script can repeat it.
func (c *userEnable) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openExisting)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.operator.EnableUser(ctx, user.ID); err != nil {
		return err
	}
	return p.printChange(ctx, s, changedUser{user.Email, c.JSON, "Enabled"})
}

// userRoles replaces all roles. A script can therefore repeat the command without a different
// result. Sessions continue, but servers refuse access tokens with the old roles at once.
type userRoles struct {
	accountFlags
	Roles []string `arg:"" optional:"" name:"role" help:"The roles."`
}

// Run without a role removes all roles. It does not ask, because the old roles can be set
// again.
func (c *userRoles) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openExisting)
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.operator.SetRoles(ctx, user.ID, c.Roles); err != nil {
		return err
	}
	return p.printChange(ctx, s, changedUser{user.Email, c.JSON, "Set the roles of"})
}

// changedUser is the change that printChange prints. lineStart is the beginning of the printed
// line, such as "Set the roles of".
type changedUser struct {
	email     watchword.Address
	json      bool
	lineStart string
}

// printChange reads the account again for JSON, so that a script gets the stored values. If
// another process changes the account before this second read, the output has the later values.
func (p *program) printChange(ctx context.Context, s *stack, c changedUser) error {
	if !c.json {
		p.say("%s %s.", c.lineStart, c.email)
		return nil
	}
	user, err := s.operator.FindUser(ctx, string(c.email))
	if err != nil {
		return err
	}
	return p.printJSON(map[string]any{"user": userJSON(user)})
}

// userDelete removes the account, its sessions and its mails. Its events stay for their
// retention time.
type userDelete struct {
	accountFlags
	confirmation
}

// Run prints the id in JSON, because services store ids and have to delete their own rows for
// it. If an account is created again with the same address, it gets another id.
func (c *userDelete) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openExisting)
	if err != nil {
		return err
	}
	defer s.close()
	if err := p.confirm(c.confirmation, fmt.Sprintf("Delete %s permanently?", user.Email)); err != nil {
		return err
	}
	if err := s.operator.DeleteUser(ctx, user.ID); err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"deleted": user.ID})
	}
	p.say("Deleted %s.", user.Email)
	return nil
}

// userReset mails a reset link. The operator never learns the new password.
type userReset struct{ accountFlags }

// Run only queues the mail. The server sends it, so the command needs no access to the mail
// server. The result has the stored address of the account, to which the link is sent.
func (c *userReset) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openExisting)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.operator.SendReset(ctx, user.ID); err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"mailedTo": user.Email})
	}
	p.say("A mail to %s is queued. The server sends it when it runs.", user.Email)
	return nil
}

// userView is a user in JSON, in the form of the API and with disabledAt. Scripts can therefore
// process users from the command line and from the API in the same way.
type userView struct {
	watchword.Profile
	DisabledAt *time.Time `json:"disabledAt"`
}

// userJSON is the only function that converts a user for output. The fields come from
// User.Profile, so a new secret field of watchword.User is not printed by accident.
func userJSON(u watchword.User) userView { return userView{u.Profile(), jsonTime(u.DisabledAt)} }

// eventView is an event in JSON. Times is the number of equal events that the engine merged
// into this event. Empty members are left out, because most events have only a few members. The
// IP and the device are those of the request that caused the event.
type eventView struct {
	At        *time.Time          `json:"at"`
	Kind      watchword.EventKind `json:"event"`
	SessionID watchword.SessionID `json:"session,omitempty"`
	Address   string              `json:"address,omitempty"`
	Device    string              `json:"device,omitempty"`
	RequestID string              `json:"requestId,omitempty"`
	Detail    string              `json:"detail,omitempty"`
	Operator  string              `json:"operator,omitempty"` // person who ran the command
	Times     int                 `json:"times"`
}

// eventsJSON returns [] for no events, and not null. The newest event is first.
func eventsJSON(events []watchword.Event) []eventView {
	views := make([]eventView, len(events))
	for i, e := range events {
		views[i] = eventView{jsonTime(e.At), e.Kind, e.SessionID, e.Address, e.Device, e.RequestID, e.Detail,
			e.Operator, e.Times}
	}
	return views
}
