package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// The hash of an account of the file. Errors hold nothing of a hash or a pepper.

// importVars are the names in the help of the command.
func importVars() kong.Vars {
	return kong.Vars{
		"systems":        strings.Join(userfile.Systems(), ", "),
		"prehashes":      strings.Join(passhash.Methods(false), ", "),
		"keyedPrehashes": strings.Join(passhash.Methods(true), ", "),
	}
}

func (h importHashing) faults() (wrong faults) {
	keyed := slices.Contains(passhash.Methods(true), h.Prehash)
	switch {
	case h.Prehash != "" && !keyed && !slices.Contains(passhash.Methods(false), h.Prehash):
		wrong = append(wrong, fault{"--prehash", "is not known. Write one of " + strings.Join(append(passhash.Methods(false), passhash.Methods(true)...), ", ") + "."})
	case keyed && h.PepperFile == "":
		wrong = append(wrong, fault{"--prehash", "needs a secret. Name the file that holds it with --pepper-file."})
	case h.Prehash != "" && !keyed && h.PepperFile != "":
		wrong = append(wrong, fault{"--pepper-file", "does not go with this --prehash, which has no secret. Leave one of them out."})
	}
	return wrong
}

const maxPepper = 1024 // bytes

// readPepper reads the file, without the line end behind the pepper.
func (c *userImport) readPepper() error {
	if c.PepperFile == "" {
		return nil
	}
	text, err := os.ReadFile(c.PepperFile)
	if err != nil {
		return errors.New(plainFileError(err))
	}
	pepper := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if pepper == "" || len(pepper) > maxPepper || strings.ContainsAny(pepper, "\n\x00") {
		return faults{{"--pepper-file", fmt.Sprintf("is empty, or not one line of at most %d bytes. Write the pepper into it, and nothing else.", maxPepper)}}
	}
	c.pepper = watchword.Secret(pepper)
	return nil
}

// method is what the flags, or else the row, say that was hashed instead of the password.
func (h importHashing) method(row userfile.Row) string {
	switch {
	case h.Prehash != "":
		return h.Prehash
	case h.pepper != "":
		return passhash.Pepper
	}
	return row.Prehash
}

// hash turns what a row says into a form that the engine adopts, before anything that
// was made of the password.
func (c *userImport) hash(row userfile.Row) (watchword.Secret, error) {
	text := strings.TrimSpace(row.Hash)
	encoded, err := "", error(nil)
	switch {
	case row.Temporary:
		return "", nil
	case row.Keycloak != nil && row.Keycloak.Plain:
		encoded, err = passhash.Adopt("{PLAIN}")
	case row.Keycloak != nil:
		encoded, err = passhash.AdoptKeycloak(row.Keycloak.CredentialData, row.Keycloak.SecretData)
	case text == "", text == "*", strings.HasPrefix(text, "!"): // Django and /etc/shadow: no password
		return "", nil
	case row.Salt != "" && c.SignerKey != "" && !strings.HasPrefix(text, "$"):
		encoded, err = c.project().Adopt(text, row.Salt)
	default:
		source := passhash.Source{Text: text, Salt: row.Salt, Algorithm: row.Algorithm, Factor: row.Factor, SaltEncoding: c.SaltEncoding}
		encoded, err = source.Adopt()
		if err != nil && row.Salt != "" && row.Algorithm == "" && passhash.LooksLikeFirebase(text, row.Salt) {
			err = errors.New("the hash has a salt of its own, as those of Firebase have, for which --firebase-signer-key is needed")
		}
	}
	return watchword.Secret(encoded), err
}
