package watchword

import (
	"context"
	"time"
)

// A Mailer renders a mail (package mail) and sends it (package mail/smtp). After an error, the outbox retries later.
type Mailer interface {
	Send(context.Context, Message) error
}

// A MailKind is the purpose of a mail.
type MailKind string

// These mails have a token (Message.Token). A front-end can have a page of its own for each of them.
const (
	MailVerify         MailKind = "verify"          // prove that this address is yours
	MailReset          MailKind = "reset"           // choose a new password
	MailInvite         MailKind = "invite"          // choose the first password of an account
	MailConfirmAddress MailKind = "confirm_address" // to the new address: confirm the change
	MailAddressChanged MailKind = "address_changed" // to the old address: the address was changed; a link to undo
)

// These kinds are notices, which have no token.
//
// Unstable: for package mail; a new kind of factor adds notices.
const (
	MailAddressReplaced                     MailKind = "address_replaced" // to the old address: an operator changed it
	MailPasswordChanged                     MailKind = "password_changed"
	MailReuseDetected                       MailKind = "reuse_detected"  // a session was ended after reuse
	MailMoreHappened                        MailKind = "more_happened"   // replaces notices above the limit
	MailSignupExisting                      MailKind = "signup_existing" // somebody signed up with your address
	MailTOTPAdded                           MailKind = "totp_added"
	MailTOTPRemoved                         MailKind = "totp_removed"
	MailPasskeyAdded                        MailKind = "passkey_added"
	MailPasskeyRemoved                      MailKind = "passkey_removed"
	MailFactorsReset                        MailKind = "factors_reset" // an operator removed all factors
	MailRecoveryUsed                        MailKind = "recovery_used" // a recovery code was used
	MailTwoStepOn                           MailKind = "two_step_on"   // a passkey of an automatic upgrade became a factor
	MailIdentityLinked, MailIdentityRemoved MailKind = "identity_linked", "identity_unlinked"
)

// budgetedNotices are sent only to proven addresses, and count towards Limits.NoticesPerAccount.
var budgetedNotices = []MailKind{MailPasswordChanged, MailReuseDetected, MailTOTPAdded, MailTOTPRemoved,
	MailPasskeyAdded, MailPasskeyRemoved, MailFactorsReset, MailRecoveryUsed, MailTwoStepOn, MailIdentityLinked,
	MailIdentityRemoved}

// mailsWithToken have a Message.Token. The first proof of an address makes its invitations invalid, but does not
// delete them, because AcceptInvite needs them to return the reason.
var mailsWithToken = []MailKind{MailInvite, MailVerify, MailReset, MailConfirmAddress, MailAddressChanged}

// A Message is the content of one mail for a Mailer.
type Message struct {
	ID   string // the same on every attempt
	Kind MailKind
	To   Address
	Name string // of the user; may be empty

	// Locale is User.Locale, or the locale of the waiting sign-up. It may be empty.
	Locale string

	// Token must be put into the fragment of the link, or after MailFacts.Page if that is set. It is valid until
	// Expires. It is empty for kinds without a link.
	Token   Secret
	Expires time.Time

	MailFacts
}

// MailFacts are the details that a mail mentions.
type MailFacts struct {
	At       time.Time `json:"at"`                 // when it happened
	Device   string    `json:"device,omitempty"`   // on which device
	Address  string    `json:"address,omitempty"`  // from which network address
	NewEmail Address   `json:"newEmail,omitempty"` // the address it was changed to
	Page     string    `json:"page,omitempty"`     // page of a front-end that the link opens; empty: the server's page
	ReturnTo string    `json:"returnTo,omitempty"` // URL that the server's page returns to; empty: the default
	Factor   string    `json:"factor,omitempty"`   // name of a factor; MailFactorsReset: the kind of factors
	Left     int       `json:"left,omitempty"`     // remaining factors, or recovery codes (MailRecoveryUsed)

	// UndoUntil is when the undo link in the previous mailbox expires (MailConfirmAddress). Zero: no undo.
	UndoUntil time.Time `json:"undoUntil,omitzero"`
}

// A MailCause says what caused a mail. It is stored with the facts, but is not in the text of the mail.
//
// Unstable: only stores use it.
type MailCause struct {
	Request  string `json:"request,omitempty"`  // id of the request that caused the mail
	Operator string `json:"operator,omitempty"` // name of the operator who caused it
	SignupID string `json:"signupId,omitempty"` // the waiting sign-up that the mail belongs to, or empty
}

// A Mail is one row of the outbox. It is inserted in the transaction of the change that it reports, and sent after
// the commit. It holds no token: the token is computed when the mail is sent, from the secret of KeyMail, the ID and,
// for most kinds, the attempt.
//
// Unstable: only stores and the program watchword use it.
type Mail struct {
	ID     string // UUID version 7
	Kind   MailKind
	To     Address // for MailReset and MailVerify, the outbox looks up the current owner of the address
	UserID UserID  // empty: the outbox looks up the owner of To
	Facts  MailFacts
	Cause  MailCause

	CreatedAt time.Time
	NextAt    time.Time // earliest next attempt; during an attempt, the end of the sender's claim
	Attempts  int
	LastError string
	GivenUpAt time.Time // zero: still being tried
}

// A MailToken is the stored form of a single-use token that was mailed.
//
// Unstable: only stores use it.
type MailToken struct {
	Hash      string // SHA-256, hex; the token itself is not stored
	Kind      MailKind
	UserID    UserID  // empty: the address had no account (SignupVerified)
	Email     Address // the address that the token proves
	ExpiresAt time.Time
	SignupID  string // the waiting sign-up that a verification link was mailed for, or empty
}

// A StoredMail is in a development mailbox instead of being sent. Text, HTML and Link contain the token.
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
