// Package secevent is our narrow profile of Security Event Tokens (RFC 8417): what
// the revocation feed says, in the words of CAEP 1.0 and of the Shared Signals
// Framework (SSF) 1.0.
//
// It knows how an event is written and read, signed with the keys of access
// tokens; not what follows from one. By its type no event passes for an access
// token, nor the other way round.
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
	// SessionRevoked: the session has ended (CAEP 1.0, section 3.1).
	SessionRevoked Kind = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"

	// ClaimsChanged: tokens of the user issued before At are out of date (CAEP 1.0,
	// section 3.2).
	ClaimsChanged Kind = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change"

	// Heartbeat: everything that happened until IssuedAt has been said, and Head is
	// its number (SSF 1.0, the verification event).
	Heartbeat Kind = "https://schemas.openid.net/secevent/ssf/event-type/verification"
)

// ErrInvalid: not an event of that issuer, for that audience.
var ErrInvalid = errors.New("not a valid security event token")

// An Event is what one token says. Times are in seconds since 1970.
type Event struct {
	Issuer   string
	Audience string
	ID       string // `jti`
	IssuedAt int64

	// Kind may be one that we don't know, if a newer server made it: then only
	// Number says something.
	Kind   Kind
	Number int64 // its place in the feed; 0 for a Heartbeat

	Session string // of SessionRevoked
	User    string // of ClaimsChanged
	At      int64  // when it happened
	By      string // user, admin, policy or system
	Why     string

	Head int64 // of a Heartbeat
}

type claims struct {
	Issuer   string       `json:"iss"`
	Audience string       `json:"aud"`
	IssuedAt int64        `json:"iat"`
	ID       string       `json:"jti"`
	Number   int64        `json:"number,omitempty"`
	Subject  subject      `json:"sub_id"`
	Events   map[Kind]any `json:"events"`
}

// A subject is a subject identifier (RFC 9493), or a complex one of SSF. There is
// no `sub`, which is what an access token has.
type subject struct {
	Format  string   `json:"format"`
	ID      string   `json:"id,omitempty"`
	Issuer  string   `json:"iss,omitempty"`
	Subject string   `json:"sub,omitempty"`
	Session *subject `json:"session,omitempty"`
}

// A change is the payload of both CAEP events.
type change struct {
	At     int64             `json:"event_timestamp"`
	By     string            `json:"initiating_entity,omitempty"`
	Why    map[string]string `json:"reason_admin,omitempty"`
	Claims map[string]any    `json:"claims,omitempty"`
}

type verification struct {
	State string `json:"state"`
}

// Sign returns the token.
func Sign(k accesstoken.Key, e Event) (string, error) {
	c := claims{Issuer: e.Issuer, Audience: e.Audience, IssuedAt: e.IssuedAt, ID: e.ID, Number: e.Number}
	what := change{At: e.At, By: e.By}
	if e.Why != "" {
		what.Why = map[string]string{"en": e.Why}
	}
	switch e.Kind {
	case SessionRevoked:
		c.Subject = subject{Format: "complex", Session: &subject{Format: "opaque", ID: e.Session}}
		c.Events = map[Kind]any{e.Kind: what}
	case ClaimsChanged:
		c.Subject = subject{Format: "iss_sub", Issuer: e.Issuer, Subject: e.User}
		what.Claims = map[string]any{"roles": nil} // who may what is nothing for a public document
		c.Events = map[Kind]any{e.Kind: what}
	case Heartbeat:
		c.Subject = subject{Format: "opaque", ID: "0"} // the only stream there is
		c.Events = map[Kind]any{e.Kind: verification{strconv.FormatInt(e.Head, 10)}}
	default:
		return "", fmt.Errorf("no event is called %q", e.Kind)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return accesstoken.SignAs(k, tokenType, payload)
}

// Verify returns what a token says that is right in every respect. find returns
// the key of a `kid`. The order is shape, key, signature, claims, as for access
// tokens. When it was issued is for the caller to judge.
func Verify(token string, find func(kid string) (accesstoken.Key, bool), issuer, audience string) (Event, error) {
	payload, ok := accesstoken.OpenAs(token, tokenType, find)
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
	_, isToken := m["sub"] // SSF 1.0: there must be none
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
	for kind, what := range events {
		e.Kind = Kind(kind)
		ok = e.read(what, m["sub_id"])
	}
	return e, ok
}

// read reads what belongs to the kind of the event.
func (e *Event) read(what, about string) (ok bool) {
	switch e.Kind {
	case SessionRevoked:
		about, ok := accesstoken.Members([]byte(about))
		if !ok || !isFormat(about, "complex") {
			return false
		}
		session, ok := accesstoken.Members([]byte(about["session"]))
		if !ok || !isFormat(session, "opaque") {
			return false
		}
		e.Session, ok = accesstoken.Text(session["id"])
		return ok && e.Session != "" && e.Number > 0 && e.readChange(what)
	case ClaimsChanged:
		about, ok := accesstoken.Members([]byte(about))
		if !ok || !isFormat(about, "iss_sub") {
			return false
		}
		if issuer, ok := accesstoken.Text(about["iss"]); !ok || issuer != e.Issuer {
			return false
		}
		e.User, ok = accesstoken.Text(about["sub"])
		return ok && e.User != "" && e.Number > 0 && e.readChange(what)
	case Heartbeat:
		m, ok := accesstoken.Members([]byte(what))
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

func (e *Event) readChange(what string) bool {
	m, ok := accesstoken.Members([]byte(what))
	if !ok {
		return false
	}
	e.At, ok = accesstoken.Seconds(m["event_timestamp"])
	e.By, _ = accesstoken.Text(m["initiating_entity"]) // for people
	if reasons, found := accesstoken.Members([]byte(m["reason_admin"])); found {
		e.Why, _ = accesstoken.Text(reasons["en"])
	}
	return ok
}

func isFormat(subject map[string]string, want string) bool {
	format, ok := accesstoken.Text(subject["format"])
	return ok && format == want
}
