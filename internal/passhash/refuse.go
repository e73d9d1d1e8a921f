package passhash

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Errors for hashes that can't be imported. Each error names the kind of hash if the kind is certain, and says what
// to do. The errors contain no part of the hash.

// Advice at the end of an error.
const (
	resetByMail = "import the user without a password; they can reset it by mail"
	checkExport = "check whether the export truncated or changed it"
)

var errPlain = errors.New("the file holds the password itself and not a hash: " + resetByMail)

func malformed(form string) error {
	return fmt.Errorf("the hash does not have the form %s: %s", form, checkExport)
}

// tooCostlyError returns the error for a hash whose cost is invalid or too high. The error shows the cost, so this
// argument must not contain the hash.
func tooCostlyError(cost string) error {
	return fmt.Errorf("the cost of the hash is invalid or too high for a server (%s): %s", cost, resetByMail)
}

// unsupportedKinds maps the text before the first or second dollar sign to the kind of the hash.
var unsupportedKinds = map[string]string{
	"$1": "crypt(3) with $1$ (MD5)", "$y": "crypt(3) with $y$ (yescrypt)", "$gy": "crypt(3) with $gy$ (yescrypt)",
	"$7": "crypt(3) with $7$ (scrypt)", "$md5": "crypt(3) with $md5$", "$sha1": "crypt(3) with $sha1$",
	"$3": "crypt(3) with $3$ (NT)",
	"$2": "bcrypt of the kind $2$", "$2x": "bcrypt of the kind $2x$", "$2z": "bcrypt of the kind $2z$",
	"argon2": "Argon2 other than Argon2id and Argon2i", "$argon2d": "Argon2 other than Argon2id and Argon2i",
	"$P": "phpass ($P$, of WordPress and others)", "$H": "phpass ($H$, of phpBB)", "$S": "Drupal's $S$ (SHA-512)",
	"U$S":   "Drupal's U$S$ (SHA-512 of MD5)",
	"$apr1": "Apache's $apr1$ (MD5)", "$B": "MediaWiki's :B:", "$ssha": "a salted SHA-1", "$sha256": "a salted sha256",
	"$sha512": "a salted sha512",
	"md5":     "a salted md5", "sha1": "a salted sha1", "unsalted_md5": "a salted unsalted_md5",
	"unsalted_sha1": "a salted unsalted_sha1",
	"sha256":        "a salted sha256", "sha512": "a salted sha512", "$md5-crypt": "crypt(3) with $1$ (MD5)",
}

// unknownHashError names the kind of the hash if the kind is certain. Otherwise the error does not show the text,
// which may be anything, even a password.
func unknownHashError(name string) error {
	kind, known := unsupportedKinds[name]
	if strings.HasPrefix(name, "$hmac") {
		kind, known = "an HMAC", true
	}
	switch {
	case known:
		return fmt.Errorf("%s can't be checked: %s", kind, resetByMail)
	case name == "$" || name == "":
		return errors.New("the hash is empty: " + resetByMail)
	case strings.HasPrefix(name, "!"):
		return errors.New("the hash says that there is no password: " + resetByMail)
	}
	return errors.New("the hash is not bcrypt, Argon2, scrypt or PBKDF2 in a known form: " + resetByMail)
}

var (
	hexOnly   = regexp.MustCompile(`^(0x)?[0-9A-Fa-f]+$`)
	hexSalted = regexp.MustCompile(`^[0-9A-Fa-f]{32,128}[:.].+$|^[^:]+:[0-9A-Fa-f]{32,128}(:.*)?$`)
	mysqlHash = regexp.MustCompile(`^\*[0-9A-F]{40}$`)
)

// digestKind returns the kind of a digest that was computed without a password function, such as MD5. It recognizes
// the kind by the length of the text. It returns "" for any other text.
func digestKind(text string) string {
	bare := map[int]string{32: "MD5", 40: "SHA-1", 56: "SHA-224", 64: "SHA-256", 96: "SHA-384", 128: "SHA-512"}
	digits := strings.TrimPrefix(text, "0x")
	switch {
	case mysqlHash.MatchString(text):
		return "a hash of MySQL's PASSWORD()"
	case hexOnly.MatchString(text) && bare[len(digits)] != "":
		return fmt.Sprintf("a bare digest of %d hexadecimal digits, such as %s,", len(digits), bare[len(digits)])
	case hexSalted.MatchString(text):
		return "a digest and a salt, separated by a colon"
	}
	return ""
}
