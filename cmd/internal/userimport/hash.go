package userimport

import (
	"errors"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// Hashing describes how the other system created its hashes. An operator sets it, because many files do not say this.
type Hashing struct {
	Prehash      string           // one of passhash.Methods; empty: Row.Prehash is used
	Pepper       watchword.Secret // secret that was mixed into every password
	SaltEncoding string           // passhash.SaltText, SaltHex or SaltBase64; empty: the usual encoding for the hash
	Firebase     passhash.Firebase
}

// prehashMethod returns the transformation that the other system applied to a password before hashing, or "" without
// one. An option takes precedence over the row, because the operator can know more than the file says.
func (h Hashing) prehashMethod(row userfile.Row) string {
	switch {
	case h.Prehash != "":
		return h.Prehash
	case h.Pepper != "":
		return passhash.Pepper
	}
	return row.Prehash
}

// importableHash converts the hash of a row to a form that the engine imports. It returns "" for a row without a
// usable password. It adds no label for the prehash (passhash.Methods). Errors contain no part of the hash.
func (h Hashing) importableHash(row userfile.Row) (watchword.Secret, error) {
	text := strings.TrimSpace(row.Hash)
	encoded, err := "", error(nil)
	switch {
	case row.Temporary:
		return "", nil
	case row.Keycloak != nil && row.Keycloak.Plain:
		encoded, err = passhash.Adopt("{PLAIN}")
	case row.Keycloak != nil:
		encoded, err = passhash.AdoptKeycloak(row.Keycloak.CredentialData, row.Keycloak.SecretData)
	case text == "", text == "*", strings.HasPrefix(text, "!"): // Django and /etc/shadow write these for "no password"
		return "", nil
	case row.Salt != "" && h.Firebase.SignerKey != "" && !strings.HasPrefix(text, "$"):
		encoded, err = h.Firebase.Adopt(text, row.Salt)
	default:
		source := passhash.Source{
			Text: text, Salt: row.Salt, Algorithm: row.Algorithm, Factor: row.Factor, SaltEncoding: h.SaltEncoding,
		}
		encoded, err = source.Adopt()
		if err != nil && row.Salt != "" && row.Algorithm == "" && passhash.LooksLikeFirebase(text, row.Salt) {
			err = errors.New("the hash has its own salt, as in Firebase: --firebase-signer-key is needed")
		}
	}
	return watchword.Secret(encoded), err
}

// HashKind names the kind of a hash in its stored form, such as "bcrypt" or "argon2id", or "none". The summary of an
// import counts hashes by kind. The kind includes a prehash label, because such a hash is verified differently.
func HashKind(hash watchword.Secret) string {
	label, inner, labelled := strings.Cut(string(hash), "}")
	if labelled {
		name, _, _ := strings.Cut(strings.TrimPrefix(label, "{"), ":") // the label of a pepper also has an id
		return HashKind(watchword.Secret(inner)) + " (" + name + ")"
	}
	kind, _, _ := strings.Cut(strings.TrimPrefix(string(hash), "$"), "$")
	switch kind {
	case "wp":
		return "bcrypt (WordPress)"
	case "5", "6":
		return "crypt(3) $" + kind + "$"
	case "":
		return noHash
	case "2a", "2b", "2y":
		return "bcrypt"
	}
	return kind
}
