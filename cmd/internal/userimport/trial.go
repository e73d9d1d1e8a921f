package userimport

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/password"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// A Trial verifies a known password against the hash that the file has for one account. It shows whether the options
// describe correctly how the hashes were created and, if not, which options would. It opens no database.
type Trial struct {
	email   string
	row     userfile.Row
	hashing Hashing
	hash    watchword.Secret
	refusal error // the engine's error for the hash, or nil
}

// A Variant is a way in which the other system may have created a hash.
type Variant struct {
	Prehash      string // as in Hashing, or passhash.Pepper if the hash includes a pepper
	SaltEncoding string
}

// A Verdict is the result of a Trial.
type Verdict struct {
	Fits        bool     // the password fits the hash with the given options
	Description string   // how the hash was created according to the given options
	Other       *Variant // if Fits is false, a variant that fits, or nil
}

// NewTrial reads the file up to the account of a normalized address. It returns an error if the account is not in the
// file or has no password to try.
func NewTrial(input *Input, o Options, email string) (*Trial, error) {
	row, err := findAccount(input, o.File, email)
	if err != nil {
		return nil, err
	}
	if row.Temporary {
		return nil, fmt.Errorf("%s has a temporary password in the file. The account is imported without a password", email)
	}
	t := &Trial{email: email, row: row, hashing: o.Hashing}
	if t.hash, t.refusal = o.Hashing.importableHash(row); t.hash == "" && t.refusal == nil {
		return nil, fmt.Errorf("%s has no password in the file", email)
	}
	return t, nil
}

// findAccount returns the first account with a normalized address. It normalizes the addresses of the file, as the
// import does. It reads only as far as needed, because a file may have millions of accounts.
func findAccount(input *Input, o userfile.Options, email string) (userfile.Row, error) {
	reader, err := userfile.New(input, o)
	for err == nil {
		var row userfile.Row
		if row, err = reader.Next(); err != nil {
			break
		}
		if found, parseErr := address.Parse(row.Email); parseErr == nil && found == email {
			return row, nil
		}
	}
	if errors.Is(err, io.EOF) {
		return userfile.Row{}, fmt.Errorf("no account in %s has the address %s", input.Name, email)
	}
	return userfile.Row{}, input.explainError(err)
}

// Try verifies the password with the given options, and then with every variant that needs no further secret. It
// returns an error if the engine would refuse the hash with the given options and no variant fits.
func (t *Trial) Try(trialPassword watchword.Secret) (Verdict, error) {
	own := t.hashing.prehashMethod(t.row)
	verdict := Verdict{Description: t.describe(own)}
	if t.refusal == nil && t.passwordFits(t.hash, own, string(trialPassword)) {
		verdict.Fits = true
		return verdict, nil
	}
	tried := map[string]bool{own + string(t.hash): true}
	for _, v := range t.variants() {
		hashing := t.hashing
		hashing.SaltEncoding = v.SaltEncoding
		hash, err := hashing.importableHash(t.row)
		again := tried[v.Prehash+string(hash)]
		tried[v.Prehash+string(hash)] = true
		if err == nil && hash != "" && !again && t.passwordFits(hash, v.Prehash, string(trialPassword)) {
			verdict.Other = &v
			return verdict, nil
		}
	}
	if t.refusal != nil {
		return verdict, fmt.Errorf("%s: passwordHash: %w", t.email, t.refusal)
	}
	return verdict, nil
}

// placeholderKeyID is the id of the pepper in a trial, because the engine creates the real id during an import.
const placeholderKeyID = "00000000-0000-8000-8000-000000000000"

// passwordFits verifies as a sign-in does: the normalized password first, then the password as typed.
func (t *Trial) passwordFits(hash watchword.Secret, method, given string) bool {
	encoded := string(hash)
	if method != "" {
		keyID := ""
		if slices.Contains(passhash.Methods(true), method) {
			keyID = placeholderKeyID
		}
		var err error
		if encoded, err = passhash.Prehashed(encoded, method, keyID); err != nil {
			return false
		}
	}
	normalized, err := password.Normalize(given)
	if err != nil {
		return false
	}
	for _, text := range []string{normalized, given} {
		if ok, err := passhash.VerifyKeyed(encoded, text, []byte(t.hashing.Pepper)); err == nil && ok {
			return true
		}
	}
	return false
}

func (t *Trial) describe(method string) string {
	text := HashKind(t.hash)
	switch {
	case method == passhash.Pepper:
		text += " of the password and the pepper"
	case method != "":
		text += " of the " + method + " of the password"
	}
	if t.hashing.SaltEncoding != "" {
		text += ", salt as " + t.hashing.SaltEncoding
	}
	return text
}

// variants lists every combination, except those that need a pepper that is not given. The likelier variants are
// first.
func (t *Trial) variants() (all []Variant) {
	salts := []string{"", passhash.SaltText, passhash.SaltHex, passhash.SaltBase64}
	methods := append([]string{t.row.Prehash, ""}, passhash.Methods(false)...)
	if t.hashing.Pepper != "" {
		methods = append(passhash.Methods(true), methods...)
	}
	for _, method := range methods {
		for _, salt := range salts {
			all = append(all, Variant{method, salt})
		}
	}
	return all
}
