package passhash

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Some systems do not hash the password alone: Meteor hashes a SHA-256 of it, and Devise adds a pepper. The stored
// form then begins with a label that names the method: {sha256-hex}$2b$10$…. For a method with a secret key, the
// label has the id of the key: {pepper:ID}$2a$10$…. A hash never contains the key itself. The caller stores the key
// and passes it to VerifyKeyed.

// Pepper is the method of Devise: the key is appended to the password.
const Pepper = "pepper"

// A prehashMethod computes the text that is hashed instead of the password.
type prehashMethod struct {
	name  string
	keyed bool
	apply func(password string, key []byte) string
}

// prehashMethods is in the order in which the methods are listed and tried.
var prehashMethods = [...]prehashMethod{
	{"sha256-hex", false, func(p string,
		_ []byte) string {
		s := sha256.Sum256([]byte(p))
		return hex.EncodeToString(s[:])
	}},
	{"sha256-base64", false, func(p string, _ []byte) string { s := sha256.Sum256([]byte(p)); return encode64(s[:]) }},
	{"sha512-hex", false, func(p string,
		_ []byte) string {
		s := sha512.Sum512([]byte(p))
		return hex.EncodeToString(s[:])
	}},
	{"sha512-base64", false, func(p string, _ []byte) string { s := sha512.Sum512([]byte(p)); return encode64(s[:]) }},
	{"sha384-base64", false, func(p string, _ []byte) string { s := sha512.Sum384([]byte(p)); return encode64(s[:]) }},
	{"sha1-hex", false, func(p string, _ []byte) string { s := sha1.Sum([]byte(p)); return hex.EncodeToString(s[:]) }},
	{"md5-hex", false, func(p string, _ []byte) string { s := md5.Sum([]byte(p)); return hex.EncodeToString(s[:]) }},
	{Pepper, true, func(p string, key []byte) string { return p + string(key) }},
	{"hmac-sha256-hex", true, func(p string, key []byte) string { return hex.EncodeToString(mac256(p, key)) }},
	{"hmac-sha256-base64", true, func(p string, key []byte) string { return encode64(mac256(p, key)) }},
	{"hmac-sha512-base64", true, func(p string, key []byte) string {
		mac := hmac.New(sha512.New, key)
		mac.Write([]byte(p))
		return encode64(mac.Sum(nil))
	}},
	{wordPressLabel, false, func(p string, _ []byte) string {
		mac := hmac.New(sha512.New384, []byte("wp-sha384"))
		mac.Write([]byte(strings.Trim(p, " \n\r\t\v\x00"))) // as WordPress does
		return encode64(mac.Sum(nil))
	}},
}

// wordPressLabel is the name and the label of the method of WordPress 6.8 and later.
const wordPressLabel = "$wp"

func encode64(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

func mac256(p string, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(p))
	return mac.Sum(nil)
}

// Methods lists the names for Prehashed: the methods with a key, or those without.
func Methods(keyed bool) (names []string) {
	for _, m := range prehashMethods {
		if m.keyed == keyed && m.name != wordPressLabel {
			names = append(names, m.name)
		}
	}
	return names
}

// A prehashed is a hash of the text that a prehashMethod computes from the password.
type prehashed struct {
	method prehashMethod
	keyID  string // empty if the method has no key
	inner  storedHash
}

func (h prehashed) String() string { return h.label() + h.inner.String() }

func (h prehashed) recipe() string { return h.label() + h.inner.recipe() }

func (h prehashed) label() string {
	switch {
	case h.method.name == wordPressLabel:
		return wordPressLabel
	case h.method.keyed:
		return "{" + h.method.name + ":" + h.keyID + "}"
	}
	return "{" + h.method.name + "}"
}

// verify checks a password without a key. It returns an error for a method with a key, because only verifyKeyed
// receives the key.
func (h prehashed) verify(password string) (bool, error) {
	if h.method.keyed {
		return false, errors.New("the key that the password was hashed with is missing")
	}
	return h.verifyKeyed(password, nil)
}

// verifyKeyed checks a password. With bcrypt, it truncates the result of the method to the 72 bytes that bcrypt
// reads, as the other systems do. With the method Pepper, a password of more than 72 bytes never matches, because
// bcrypt would ignore its end.
func (h prehashed) verifyKeyed(password string, key []byte) (bool, error) {
	text := h.method.apply(password, key)
	_, isBcrypt := h.inner.(bcryptHash)
	if isBcrypt {
		text = text[:min(len(text), bcryptBytes)]
	}
	ok, err := h.inner.verify(text)
	whole := !isBcrypt || h.method.name != Pepper || len(password) <= bcryptBytes
	return ok && whole, err
}

// Prehashed puts the label of a method before a hash that Adopt returned. keyID is the id of the key, or "" if the
// method has no key. The error for an unknown method lists the methods.
func Prehashed(encoded, name, keyID string) (string, error) {
	i := slices.IndexFunc(prehashMethods[:], func(m prehashMethod) bool { return m.name == name })
	if i < 0 || name == wordPressLabel {
		return "", fmt.Errorf("there is no method %q: write %s", name,
			strings.Join(append(Methods(false), Methods(true)...), ", "))
	}
	if prehashMethods[i].keyed != (keyID != "") {
		return "", fmt.Errorf("the method %s needs a key, or has none", name)
	}
	h, err := readAnyForm(encoded)
	if err != nil {
		return "", err
	}
	if labelled, ok := h.(prehashed); ok {
		if !labelled.method.keyed || labelled.method.name != name {
			return "", errors.New("the hash itself names the method: remove the method")
		}
		h = labelled.inner // drop the label: its key id is that of another server
	}
	if !isKeyID(keyID) {
		return "", errors.New("the id of the key is not a UUID")
	}
	return prehashed{prehashMethods[i], keyID, h}.String(), nil
}

func isKeyID(id string) bool { return id == "" || len(id) == 36 && !strings.ContainsAny(id, "{}:$") }

// KeyID returns the id of the key that a stored hash needs, or "".
func KeyID(encoded string) string {
	if h, ok := parseStoredForm(encoded); ok {
		if h, ok := h.(prehashed); ok {
			return h.keyID
		}
	}
	return ""
}

// VerifyKeyed is like Verify, with the key that KeyID names. If KeyID returns "", the key is ignored.
func VerifyKeyed(encoded, password string, key []byte) (bool, error) {
	h, ok := parseStoredForm(encoded)
	if !ok {
		return false, errUnreadable
	}
	if h, ok := h.(prehashed); ok {
		return h.verifyKeyed(password, key)
	}
	return h.verify(password)
}

// readPrehashed reads a stored form with a label. ok is false if the text has no such
// label.
func readPrehashed(text string) (h storedHash, ok bool, err error) {
	name, rest, ok := "", "", false
	if strings.HasPrefix(text, wordPressLabel+"$2") {
		name, rest, ok = wordPressLabel, strings.TrimPrefix(text, wordPressLabel), true
	} else if label, inner, cut := strings.Cut(text, "}"); cut && strings.HasPrefix(label, "{") {
		name, rest, ok = label[1:], inner, true
	}
	name, key, hasKey := strings.Cut(name, ":")
	i := slices.IndexFunc(prehashMethods[:], func(m prehashMethod) bool { return m.name == name })
	if !ok || i < 0 || (name == wordPressLabel) != strings.HasPrefix(text, wordPressLabel) {
		return nil, false, nil
	}
	if hasKey != prehashMethods[i].keyed || hasKey && len(key) != 36 || !isKeyID(key) {
		return nil, true, malformed("{" + name + "}$2b$12$…")
	}
	inner, err := readAnyForm(rest)
	if err != nil {
		return nil, true, err
	}
	if _, twice := inner.(prehashed); twice {
		return nil, true, malformed("{" + name + "}$2b$12$…")
	}
	return prehashed{prehashMethods[i], key, inner}, true, nil
}
