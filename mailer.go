package watchword

import (
	"context"
	"time"
)

// A Mailer delivers one mail. It writes the words (package mail) and speaks to
// the mail server (package mail/smtp). An error means "try again later".
type Mailer interface {
	Send(context.Context, Message) error
}

// A MailKind says what a mail is about.
type MailKind string

const (
	MailVerify          MailKind = "verify"           // prove that this address is yours
	MailReset           MailKind = "reset"            // choose a new password
	MailConfirmAddress  MailKind = "confirm_address"  // to the new address: confirm the change
	MailAddressChanged  MailKind = "address_changed"  // to the old address: it was changed; undo
	MailPasswordChanged MailKind = "password_changed" // notice
	MailReuseDetected   MailKind = "reuse_detected"   // notice: a copied session was ended
	MailMoreHappened    MailKind = "more_happened"    // summary: the account had more notices than the limit allows
	MailSignupExisting  MailKind = "signup_existing"  // somebody signed up with your address
)

// mailedTokens are the kinds whose mails carry one.
var mailedTokens = []MailKind{MailVerify, MailReset, MailConfirmAddress, MailAddressChanged}

// A Message is what a Mailer is to say.
type Message struct {
	ID   string // the same on every attempt
	Kind MailKind
	To   Address
	Name string // of the user; may be empty

	// Token goes into the fragment of the link, for the kinds that have one, or
	// behind Page; it works until Expires.
	Token   Secret
	Expires time.Time

	MailFacts
}

// MailFacts are the particulars that a mail tells.
type MailFacts struct {
	At       time.Time `json:"at"`                 // when it happened
	Device   string    `json:"device,omitempty"`   // on which device
	Address  string    `json:"address,omitempty"`  // from which network address
	NewEmail Address   `json:"newEmail,omitempty"` // the address it was changed to
	Request  string    `json:"request,omitempty"`  // id of the request that caused the mail; not for its text
	Page     string    `json:"page,omitempty"`     // of a front-end that the link leads to; empty: ours
	SignupID string    `json:"signupId,omitempty"` // the waiting sign-up that the mail belongs to; empty: none

	// UndoUntil is until when the previous address can take the account back if
	// the new one is confirmed in time (MailConfirmAddress only). Zero: it can't.
	UndoUntil time.Time `json:"undoUntil,omitzero"`
}

// A Mail is one row of the outbox: written in the transaction of the change
// that it tells of, sent afterwards. It holds no token: a token is computed from
// the ID of its mail, and mostly the attempt, under the master key when the mail
// is sent.
type Mail struct {
	ID     string // UUID version 7
	Kind   MailKind
	To     Address // MailReset and MailVerify go to whoever owns this address now, or to nobody
	UserID UserID  // empty where the owner is to be looked up
	Facts  MailFacts

	CreatedAt time.Time
	NextAt    time.Time // not to be tried before; while it is being sent, the end of the sender's claim
	Attempts  int
	LastError string
	GivenUpAt time.Time // zero: still being tried
}

// A MailToken is what the receiver of a mail can present, once.
type MailToken struct {
	Hash      string // SHA-256, hex; the token itself is nowhere
	Kind      MailKind
	UserID    UserID  // empty: no account had the address (SignupVerified)
	Email     Address // the address that the token was mailed to, and speaks for
	ExpiresAt time.Time
	SignupID  string // the waiting sign-up that a verification link was mailed for; empty: none
}

// A StoredMail is a rendered mail that a development mailbox keeps instead of sending
// it. Text, HTML and Link contain the token.
type StoredMail struct {
	ID      string    `json:"id"` // of its Message
	At      time.Time `json:"at"` // when it was stored
	To      Address   `json:"to"`
	Kind    MailKind  `json:"kind"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
	Link    string    `json:"link,omitempty"` // empty for mails without a link
}
