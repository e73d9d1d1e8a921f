// Package secevent signs and verifies the Security Event Tokens (RFC 8417) of the revocation feed. It supports a
// small profile of CAEP 1.0 and of the Shared Signals Framework (SSF) 1.0.
//
// Events are signed with the keys of access tokens. The type in the header differs, so a verifier never accepts an
// event as an access token, or an access token as an event.
package secevent

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

const tokenType = "secevent+jwt" // RFC 8417, section 2.3

// A Kind is the name of an event.
type Kind string

const (
	// SessionRevoked means that the session has ended (CAEP 1.0, section 3.1).
	SessionRevoked Kind = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"

	// ClaimsChanged means that tokens that were issued to the user before At have outdated claims (CAEP 1.0, section
	// 3.2).
	ClaimsChanged Kind = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change"

	// Heartbeat means that the feed is complete up to IssuedAt. Head is the largest number in the feed (SSF 1.0, the
	// verification event).
	Heartbeat Kind = "https://schemas.openid.net/secevent/ssf/event-type/verification"
)

// ErrInvalid means that the token is not a valid event of the issuer for the audience.
var ErrInvalid = errors.New("not a valid security event token")

// An Event is the content of one token. Times are in seconds since 1970.
type Event struct {
	Issuer   string
	Audience string
	ID       string // `jti`
	IssuedAt int64

	// Kind can be unknown if a newer server created the event. Then only Number is
	// meaningful.
	Kind   Kind
	Number int64 // position in the feed; 0 for a Heartbeat

	Session   string // id of the session, for SessionRevoked
	User      string // id of the user, for ClaimsChanged
	At        int64  // time of the change
	Initiator string // user, admin, policy or system
	Reason    string // code of the reason, for example logout

	Head int64 // largest number in the feed, for a Heartbeat
}

// Initiator returns who ended a session, given the reason for its end. The result is user, admin or policy (CAEP 1.0,
// section 2), or system for an unknown reason.
func Initiator(reason string) string {
	switch reason {
	case "logout", "ended_by_user", "logout_all", "password_changed", "email_changed", "first_proof", "replaced",
		"account_deleted", "factor_added", "factor_removed":
		return "user"
	case "ended_by_operator", "account_disabled", "factors_reset":
		return "admin"
	case "refresh_reused", "too_many_sessions":
		return "policy"
	}
	return "system"
}

type claims struct {
	Issuer   string       `json:"iss"`
	Audience string       `json:"aud"`
	IssuedAt int64        `json:"iat"`
	ID       string       `json:"jti"`
	Number   int64        `json:"number,omitempty"`
	Subject  subjectID    `json:"sub_id"`
	Events   map[Kind]any `json:"events"`
}

// A subjectID is a subject identifier (RFC 9493), or a complex subject of SSF. It takes the place of the `sub` claim,
// because SSF forbids `sub` in events.
type subjectID struct {
	Format  string     `json:"format"`
	ID      string     `json:"id,omitempty"`
	Issuer  string     `json:"iss,omitempty"`
	Subject string     `json:"sub,omitempty"`
	Session *subjectID `json:"session,omitempty"`
}

// A stateChange is the payload of SessionRevoked and of ClaimsChanged.
type stateChange struct {
	At        int64             `json:"event_timestamp"`
	Initiator string            `json:"initiating_entity,omitempty"`
	Reason    map[string]string `json:"reason_admin,omitempty"`
	Claims    map[string]any    `json:"claims,omitempty"`
}

type verification struct {
	State string `json:"state"`
}

// Sign returns the signed token for e. It returns an error if e.Kind is unknown.
func Sign(k accesstoken.Key, e Event) (string, error) {
	c := claims{Issuer: e.Issuer, Audience: e.Audience, IssuedAt: e.IssuedAt, ID: e.ID, Number: e.Number}
	payload := stateChange{At: e.At, Initiator: e.Initiator}
	if e.Reason != "" {
		payload.Reason = map[string]string{"en": e.Reason}
	}
	switch e.Kind {
	case SessionRevoked:
		c.Subject = subjectID{Format: "complex", Session: &subjectID{Format: "opaque", ID: e.Session}}
		c.Events = map[Kind]any{e.Kind: payload}
	case ClaimsChanged:
		c.Subject = subjectID{Format: "iss_sub", Issuer: e.Issuer, Subject: e.User}
		payload.Claims = map[string]any{"roles": nil} // null instead of the new roles, because the feed is public
		c.Events = map[Kind]any{e.Kind: payload}
	case Heartbeat:
		c.Subject = subjectID{Format: "opaque", ID: "0"} // the feed has one stream, with the id 0
		c.Events = map[Kind]any{e.Kind: verification{strconv.FormatInt(e.Head, 10)}}
	default:
		return "", fmt.Errorf("unknown kind of event %q", e.Kind)
	}
	claims, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return accesstoken.SignAs(k, tokenType, claims)
}

// Verify returns the event of a valid token, or ErrInvalid. findKey returns the key of a `kid`. Like
// accesstoken.Verify, Verify checks the format, the key, the signature and then the claims. Callers have to check
// IssuedAt.
func Verify(token string, findKey func(kid string) (accesstoken.Key, bool), issuer, audience string) (Event, error) {
	payload, ok := accesstoken.OpenAs(token, tokenType, findKey)
	if !ok {
		return Event{}, ErrInvalid
	}
	e, ok := parse(payload, issuer, audience)
	if !ok {
		return Event{}, ErrInvalid
	}
	return e, nil
}

func parse(payload []byte, issuer, audience string) (Event, bool) {
	m, ok := accesstoken.Members(payload)
	if !ok || !accesstoken.NamesAudience(m["aud"], audience) {
		return Event{}, false
	}
	e := Event{Audience: audience}
	var named, identified, dated bool
	e.Issuer, named = accesstoken.Text(m["iss"])
	e.ID, identified = accesstoken.Text(m["jti"])
	e.IssuedAt, dated = accesstoken.Seconds(m["iat"])
	_, isToken := m["sub"] // SSF 1.0 forbids this claim
	if !named || e.Issuer != issuer || !identified || e.ID == "" || !dated || isToken {
		return Event{}, false
	}
	if text, there := m["number"]; there {
		var err error
		if e.Number, err = strconv.ParseInt(text, 10, 64); err != nil || e.Number < 1 {
			return Event{}, false
		}
	}
	events, ok := accesstoken.Members([]byte(m["events"]))
	if !ok || len(events) != 1 {
		return Event{}, false
	}
	for kind, payload := range events {
		e.Kind = Kind(kind)
		ok = e.parseEvent(payload, m["sub_id"])
	}
	return e, ok
}

// parseEvent reads the members of e that depend on e.Kind. The arguments payload and subject are JSON. For an unknown
// kind, it reads nothing and returns true.
func (e *Event) parseEvent(payload, subject string) (ok bool) {
	switch e.Kind {
	case SessionRevoked:
		members, ok := accesstoken.Members([]byte(subject))
		if !ok || !isFormat(members, "complex") {
			return false
		}
		session, ok := accesstoken.Members([]byte(members["session"]))
		if !ok || !isFormat(session, "opaque") {
			return false
		}
		e.Session, ok = accesstoken.Text(session["id"])
		return ok && e.Session != "" && e.Number > 0 && e.readChange(payload)
	case ClaimsChanged:
		members, ok := accesstoken.Members([]byte(subject))
		if !ok || !isFormat(members, "iss_sub") {
			return false
		}
		if issuer, ok := accesstoken.Text(members["iss"]); !ok || issuer != e.Issuer {
			return false
		}
		e.User, ok = accesstoken.Text(members["sub"])
		return ok && e.User != "" && e.Number > 0 && e.readChange(payload)
	case Heartbeat:
		m, ok := accesstoken.Members([]byte(payload))
		if !ok || e.Number != 0 {
			return false
		}
		state, ok := accesstoken.Text(m["state"])
		head, err := strconv.ParseInt(state, 10, 64)
		e.Head = head
		return ok && err == nil && head >= 0
	}
	return true
}

func (e *Event) readChange(payload string) bool {
	m, ok := accesstoken.Members([]byte(payload))
	if !ok {
		return false
	}
	e.At, ok = accesstoken.Seconds(m["event_timestamp"])
	e.Initiator, _ = accesstoken.Text(m["initiating_entity"]) // informative, so optional
	if reasons, found := accesstoken.Members([]byte(m["reason_admin"])); found {
		e.Reason, _ = accesstoken.Text(reasons["en"])
	}
	return ok
}

func isFormat(subject map[string]string, want string) bool {
	format, ok := accesstoken.Text(subject["format"])
	return ok && format == want
}
