package watchword

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/storable"
)

// An EventKind is the kind of a security event. docs/logs.md lists the kinds; their values are stable.
type EventKind string

// A kind has an exported name if code outside of the engine uses it. Packages such as factors declare others.
const (
	EventSignup          EventKind = "signup"
	EventLogin           EventKind = "login"
	EventLoginFailed     EventKind = "login_failed"
	eventLoginChallenged EventKind = "login_challenged" // the password was right, a second factor is due
	EventFactorAdded     EventKind = "factor_added"
	EventFactorRemoved   EventKind = "factor_removed"
	EventLogout          EventKind = "logout"
	EventLogoutAll       EventKind = "logout_all"
	EventSessionEnded    EventKind = "session_ended"
	EventRefreshReused   EventKind = "refresh_reused"
	EventPasswordChanged EventKind = "password_changed"
	EventPasswordReset   EventKind = "password_reset"
	eventResetRequested  EventKind = "password_reset_requested"
	EventEmailVerified   EventKind = "email_verified"
	eventLinkDisowned    EventKind = "link_disowned" // the recipient of the mail chose "this wasn't me"
	eventEmailChanged    EventKind = "email_changed"
	EventRolesChanged    EventKind = "roles_changed"
	EventDisabled        EventKind = "account_disabled"
	eventEnabled         EventKind = "account_enabled"
	EventDeleted         EventKind = "account_deleted"
	eventRenamed         EventKind = "renamed"        // by an operator
	eventLimitsCleared   EventKind = "limits_cleared" // by an operator
	eventLinkRequested   EventKind = "link_requested" // by an operator
	eventKeysRotated     EventKind = "keys_rotated"   // by an operator; this kind and the next two have no account
	eventMasterReplaced  EventKind = "master_key_replaced"
	eventMailRetried     EventKind = "mail_retried"
)

// Kinds that package admin counts or explains.
//
// Unstable: for packages of this module.
const (
	EventFactorsReset    EventKind = "factors_reset" // by an operator
	EventLateForgiven    EventKind = "late_forgiven"
	EventRestoreDetected EventKind = "restore_detected" // without an account, at most one an hour
	EventEmailUndone     EventKind = "email_change_undone"
)

// An Event is one entry of an account's security log. It is stored with the change and logged after the commit.
type Event struct {
	ID        string // UUID version 7, or 8 if one row counts several events
	Kind      EventKind
	At        time.Time
	UserID    UserID
	SessionID SessionID // empty: the event is not about one session
	Address   string    // network address of the client; empty for an operator
	Device    string    // name of the client's device
	RequestID string
	Detail    string // a reason or a number, never a secret
	Times     int    // above 1 if one row counts several events (EventLoginFailed)
	Operator  string // name of the operator (Operator.As); else empty
}

// Maximum stored lengths in bytes. The server's own request ids have 36 bytes, and its device names at most 64.
const (
	maxRequestID = 128
	maxDevice    = 128
)

func (e *Engine) newEvent(kind EventKind, c Client, now time.Time) Event {
	return Event{
		ID: newID(), Kind: kind, At: now, Address: c.addressText(), Device: c.deviceName(),
		RequestID: storable.Text(c.RequestID, maxRequestID), Times: 1,
	}
}

const sharedRowPeriod = time.Hour

// withSharedID sets the id that all events of one kind, reason, account, client network and period share. The store
// counts them in one row, so a flood of events leaves few rows and an exact count.
func (ev Event) withSharedID(c Client) Event {
	period := ev.At.Truncate(sharedRowPeriod).Unix()
	what := fmt.Sprint(ev.Kind, "\n", ev.Detail, "\n", ev.UserID, "\n", c.networkKey(), "\n", period)
	ev.ID = uuid.NewHash(sha256.New(), uuid.Nil, []byte(what), 8).String()
	return ev
}

func (ev Event) ofUser(id UserID) Event       { ev.UserID = id; return ev }
func (ev Event) ofSession(id SessionID) Event { ev.SessionID = id; return ev }
func (ev Event) withDetail(why string) Event  { ev.Detail = why; return ev }

// asSessionEnd returns the event of a session that ends because of the sign-in ev.
func (ev Event) asSessionEnd(why EndReason) Event {
	ev.ID, ev.Kind, ev.Detail = newID(), EventSessionEnded, string(why)
	return ev
}

// mayRevokeTokens reports whether access tokens can become invalid with the event. It may miss an event, because the
// feed finds every revocation at its next poll.
func (ev Event) mayRevokeTokens() bool {
	switch ev.Kind {
	case EventLogout, EventLogoutAll, EventSessionEnded, EventRefreshReused, EventPasswordChanged, EventPasswordReset,
		EventEmailVerified, EventEmailUndone, EventRolesChanged, EventDisabled, EventDeleted, EventFactorAdded,
		EventFactorRemoved, EventFactorsReset:
		return true
	}
	return false
}

// recordChange calls apply and stores the event in one transaction. Then it announces the event. apply may set fields
// of the event.
func (e *Engine) recordChange(ctx context.Context, event *Event, apply func(Tx) error) error {
	err := e.store.Update(ctx, func(tx Tx) error {
		if err := apply(tx); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, *event)
	})
	if err == nil {
		e.announce(*event)
		e.mailPosted.Set()
	}
	return err
}

// announce logs and counts events whose transaction has been committed.
func (e *Engine) announce(events ...Event) {
	for _, ev := range events {
		e.count.events.Add(ev.Kind)
		if ev.mayRevokeTokens() {
			e.mayHaveEnded.Set()
		}
		if ev.Kind == EventSignup || ev.Kind == EventEmailVerified || ev.Kind == EventPasswordReset {
			e.callbackSignals[CallbackSignup].Set()
		}
		level := slog.LevelInfo
		switch ev.Kind {
		case EventRefreshReused, EventLateForgiven, EventLoginFailed, EventRestoreDetected:
			level = slog.LevelWarn
		}
		e.log.LogAttrs(context.Background(), level, "security event",
			slog.String("event", string(ev.Kind)),
			slog.String("user", string(ev.UserID)),
			slog.String("session", string(ev.SessionID)),
			slog.String("client", ev.Address),
			slog.String("device", ev.Device),
			slog.String("request_id", ev.RequestID),
			slog.String("detail", ev.Detail),
			slog.String("operator", ev.Operator),
		)
	}
}
