package watchword

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// A UserID is a random UUID (version 7) in its canonical text form, or the UUID
// that an imported account came with. It is never given out twice.
type UserID string

// An Address is a canonical e-mail address: lower case, ASCII, made by
// internal/address and by nothing else.
type Address string

// RoleAdmin may read other people's profiles.
const RoleAdmin = "admin"

// A User is one account.
type User struct {
	ID           UserID
	Email        Address
	VerifiedAt   time.Time // when Email was proven; zero: not yet
	Name         string
	Roles        []string // sorted, no duplicates
	PasswordHash Secret   // PHC string, or empty: no password signs in

	CreatedAt  time.Time
	DisabledAt time.Time // zero: enabled

	// RolesChangedAt is a whole second. An access token issued before it is
	// refused: its roles are out of date.
	RolesChangedAt time.Time
}

// Verified reports whether the user has proven to own Email.
func (u User) Verified() bool { return !u.VerifiedAt.IsZero() }

// Disabled reports whether an operator has shut the account.
func (u User) Disabled() bool { return !u.DisabledAt.IsZero() }

// HasRole reports whether the user holds role.
func (u User) HasRole(role string) bool { return slices.Contains(u.Roles, role) }

// A Secret is text that must not be seen: passwords, tokens, their hashes. It
// prints as [redacted] in logs, in every fmt verb and in JSON; string(s) is the
// one way out, and easy to search for.
type Secret string

const redacted = "[redacted]"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }
