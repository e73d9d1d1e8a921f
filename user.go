package watchword

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// A UserID is a random UUID (version 7) in canonical text form. The UUID of an imported account may have a different
// version. No id is ever used for a second account.
type UserID string

// An Address is a canonical email address: lower case, ASCII. Only internal/address creates it.
type Address string

// RoleAdmin is the role that may read the profiles of other users.
const RoleAdmin = "admin"

// A User is one account.
type User struct {
	ID         UserID
	Email      Address
	VerifiedAt time.Time // when Email was proven; zero: not yet
	Name       string
	Roles      []string // sorted, no duplicates
	CreatedAt  time.Time
	DisabledAt time.Time // zero: enabled

	// Locale is the language of the user's mails, a BCP 47 tag such as "pt-BR". Empty: the default language.
	Locale string

	// Factors is the number of second factors that a sign-in asks for.
	Factors int

	// Metadata is the public metadata, a JSON object that operators write (package metadata). It may be empty.
	Metadata string

	// PasswordHash is a PHC string. Empty: the user has no password.
	//
	// Unstable: for stores.
	PasswordHash Secret

	// RolesChangedAt is a whole second. Access tokens issued before it have outdated roles and are rejected.
	//
	// Unstable: for stores.
	RolesChangedAt time.Time

	// FactorsChangedAt is when a factor was last added or removed. A sign-in that began before this time can't open a
	// session.
	//
	// Unstable: for stores.
	FactorsChangedAt time.Time
}

// Verified reports whether the user has proven that Email is theirs.
func (u User) Verified() bool { return !u.VerifiedAt.IsZero() }

// Disabled reports whether an operator has disabled the account.
func (u User) Disabled() bool { return !u.DisabledAt.IsZero() }

// HasRole reports whether the user holds role.
func (u User) HasRole(role string) bool { return slices.Contains(u.Roles, role) }

// A Profile is the public part of an account, in the JSON form of the API and of the command line.
//
// Unstable: for the server and the program watchword. A User has the same data.
type Profile struct {
	ID            UserID    `json:"id" format:"uuid"`
	Email         Address   `json:"email" format:"email"`
	EmailVerified bool      `json:"emailVerified"`
	Name          string    `json:"name"`
	Roles         []string  `json:"roles" nullable:"false"` // never nil
	Locale        string    `json:"locale" doc:"BCP 47, from the sign-up's Accept-Language; empty: unknown"`
	CreatedAt     time.Time `json:"createdAt"`
}

// Profile returns the profile of the account.
//
// Unstable: for the server and the program watchword.
func (u User) Profile() Profile {
	return Profile{
		ID: u.ID, Email: u.Email, EmailVerified: u.Verified(), Name: u.Name,
		Roles: append([]string{}, u.Roles...), Locale: u.Locale, CreatedAt: u.CreatedAt,
	}
}

// A Secret is text that must not be shown: a password, a token, or their hashes. It prints as [redacted] in logs, with
// every fmt verb and in JSON. Only the conversion string(s) returns the text, and conversions are easy to search for.
type Secret string

const redacted = "[redacted]"

func (Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }
