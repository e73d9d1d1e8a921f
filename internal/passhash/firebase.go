package passhash

import (
	"crypto/subtle"
	"fmt"
)

// Firebase holds the parameters with which a Firebase project hashes passwords: the hash_config in its console
// (https://firebase.google.com/docs/cli/auth). An import with a wrong value succeeds, but then no password matches
// its hash. Therefore test the values with a password that you know.
type Firebase struct {
	SignerKey     string // base64_signer_key: a secret; stored hashes do not contain it
	SaltSeparator string // base64_salt_separator
	Rounds        uint32 // rounds: r of scrypt; usually 8
	MemCost       uint32 // mem_cost: log2 of N; usually 14
}

// Adopt converts the passwordHash and the salt of an exported account, both in base64, into the form that Verify
// reads. Errors contain no part of these texts or of the signer key.
func (p Firebase) Adopt(passwordHash, salt string) (encoded string, err error) {
	key, ok := decodeAnyBase64(p.SignerKey)
	if !ok || len(key) == 0 {
		return "", malformedFirebase("base64_signer_key of the project")
	}
	separator, ok := decodeAnyBase64(p.SaltSeparator)
	if !ok {
		return "", malformedFirebase("base64_salt_separator of the project")
	}
	tag, ok := decodeAnyBase64(passwordHash)
	if !ok || len(tag) == 0 {
		return "", malformedFirebase("passwordHash")
	}
	own, ok := decodeAnyBase64(salt)
	if !ok || len(own) == 0 {
		return "", malformedFirebase("salt")
	}
	if len(tag) != len(key) {
		return "", fmt.Errorf("the passwordHash has %d bytes and the signer key %d: check that it is the key of this project",
			len(tag), len(key))
	}
	subtle.XORBytes(tag, tag, key) // tag is now the key stream
	f := firebaseFunc{scryptFunc{log2: p.MemCost, block: p.Rounds, lanes: 1}}
	h, err := newPHC(f, append(own, separator...), tag)
	if err != nil {
		return "", err
	}
	return h.String(), nil
}

// LooksLikeFirebase reports whether a hash and a salt look like a Firebase export: base64
// of 64 bytes, and base64 of 1 to 64 bytes.
func LooksLikeFirebase(passwordHash, salt string) bool {
	const firebaseBytes = 64
	tag, ok := decodeAnyBase64(passwordHash)
	own, ok2 := decodeAnyBase64(salt)
	return ok && ok2 && len(tag) == firebaseBytes && len(own) > 0 && len(own) <= maxSalt && !hexOnly.MatchString(salt)
}

func malformedFirebase(field string) error {
	return fmt.Errorf("%s is not base64, or empty: copy it again from the console or the export of Firebase", field)
}

func readFirebase(parts []string) (storedHash, error) {
	const form = "$firebase-scrypt$ln=14,r=8$salt$hash"
	if len(parts) != 3 {
		return nil, malformed(form)
	}
	n, ok := readParameters(parts[0], "ln", "r")
	if !ok {
		return nil, malformed(form)
	}
	return readPHC(firebaseFunc{scryptFunc{log2: n[0], block: n[1], lanes: 1}}, parts[1], parts[2], form)
}

// readKratosFirebase reads the form of Firebase hashes in Ory Kratos: ln=14,r=8,p=1, the
// salt, the hash, the salt separator and the signer key.
func readKratosFirebase(parts []string) (storedHash, error) {
	const form = "$firescrypt$ln=14,r=8,p=1$salt$hash$separator$key"
	if len(parts) != 5 {
		return nil, malformed(form)
	}
	n, ok := readParameters(parts[0], "ln", "r", "p")
	if !ok || n[2] != 1 {
		return nil, malformed(form)
	}
	project := Firebase{SignerKey: parts[4], SaltSeparator: parts[3], Rounds: n[1], MemCost: n[0]}
	encoded, err := project.Adopt(parts[2], parts[1])
	if err != nil {
		return nil, err
	}
	return readAnyForm(encoded)
}
