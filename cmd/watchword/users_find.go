package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/usersearch"
)

// userList lists accounts in the order of addresses. The command prints one page at a time,
// because all accounts together could exceed the memory. With the last address of a page in
// --after, the next call lists the next page. A prefix is fast, because addresses have an
// index. --contains, --role and --state read all accounts with the prefix. --session and
// --request identify accounts exactly, so they exclude the other filters.
type userList struct {
	Prefix   string `arg:"" optional:"" help:"Begin of the address."`
	Contains string `name:"contains" help:"A part of the address or of the name. Reads all accounts."`
	Role     string `name:"role" help:"Only accounts with this role. Reads all accounts."`
	State    string `name:"state" enum:",active,unverified,disabled" default:"" help:"Only accounts that are active, unverified or disabled. Reads all accounts."`
	Session  string `name:"session" xor:"exact" help:"The account of this session (sid), also of an ended one."`
	Request  string `name:"request" xor:"exact" help:"The accounts and the events of the request with this id (X-Request-Id)."`
	After    string `name:"after" help:"Begin after this address."`
	Max      int    `name:"max" default:"1000" help:"Most accounts to list."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

// Run lists accounts. It compares --after in lower case, because addresses are stored in lower
// case. It lists at least one account, because --max=0 is most likely a mistake.
func (c *userList) Run(ctx context.Context, p *program) error {
	filter := usersearch.Filter{Prefix: c.Prefix, Contains: c.Contains, Role: c.Role, State: c.State}
	// A second filter could only remove accounts from the list that --session or --request
	// finds. The operator would then believe that these accounts do not exist.
	if c.Session+c.Request != "" && filter != (usersearch.Filter{}) {
		return faults{{"users list", "has --session or --request and another filter. Write only one of them."}}
	}
	s, err := p.openToRead(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	switch {
	case c.Session != "":
		return c.printUserOfSession(ctx, p, s)
	case c.Request != "":
		return c.printUsersOfRequest(ctx, p, s)
	}
	after := watchword.Address(strings.ToLower(c.After))
	users, err := usersearch.Find(ctx, s.operator, filter, after, max(c.Max, 1))
	if err != nil {
		return err
	}
	return p.printUsers(users, c.JSON, nil)
}

// printUserOfSession prints the account of a session. It also finds an ended session, until the
// sweeper deletes the session, some days after its end.
func (c *userList) printUserOfSession(ctx context.Context, p *program, s *stack) error {
	user, err := s.operator.UserOfSession(ctx, watchword.SessionID(c.Session))
	if watchword.CodeOf(err) == watchword.CodeNotFound {
		return fmt.Errorf("there is no session %s, or it was deleted with its account or by age", c.Session)
	}
	if err != nil {
		return err
	}
	return p.printUsers([]watchword.User{user}, c.JSON, nil)
}

// printUsersOfRequest prints the events of a request and the accounts in these events. A
// successful refresh stores no event. A deleted account is missing from the accounts, but its
// last event is listed.
func (c *userList) printUsersOfRequest(ctx context.Context, p *program, s *stack) error {
	events, err := s.operator.RequestEvents(ctx, c.Request, max(c.Max, 1))
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return fmt.Errorf("no event has the request id %s. Search the log for it", c.Request)
	}
	// One request can affect two accounts, such as a sign-in that replaces another user's
	// session. A request has few events, so each account is read separately.
	var users []watchword.User
	seen := map[watchword.UserID]bool{}
	for _, event := range events {
		if seen[event.UserID] {
			continue
		}
		seen[event.UserID] = true
		user, err := s.operator.FindUserByID(ctx, event.UserID)
		if err == nil {
			users = append(users, user)
		} else if watchword.CodeOf(err) != watchword.CodeNotFound {
			return err
		}
	}
	return p.printUsers(users, c.JSON, events)
}

// printUsers prints accounts. If events is not nil, it also prints the events by which the
// accounts were found.
func (p *program) printUsers(users []watchword.User, json bool, events []watchword.Event) error {
	if json {
		list := make([]userView, len(users))
		for i, user := range users {
			list[i] = userJSON(user)
		}
		result := map[string]any{"users": list}
		if events != nil {
			result["events"] = eventsJSON(events)
		}
		return p.printJSON(result)
	}
	t := newTable("EMAIL", "NAME", "ROLES", "STATE", "SINCE", "ID")
	for _, user := range users {
		t.addRow(string(user.Email), user.Name, strings.Join(user.Roles, ","), usersearch.State(user),
			tableTime(user.CreatedAt),
			string(user.ID))
	}
	// Without --request, events is nil, and the output has no table of events.
	if err := p.printTable(t); err != nil || events == nil {
		return err
	}
	p.say("\nEvents: %d", len(events))
	return p.printTable(eventTable(events))
}
