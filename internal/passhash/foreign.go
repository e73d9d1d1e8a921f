package passhash

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// What to do about a hash that can't be taken.
const (
	setAside    = "import the user without a password, who then asks for a new one by mail"
	checkExport = "see whether the export has cut it off or changed it"
)

// Adopt turns the text of a hash in another system into the form that Verify
// reads. It takes
//
//   - bcrypt: $2a$, $2b$, $2y$, and Django's bcrypt$… and bcrypt_sha256$…
//   - Argon2id and Argon2i, version 19: PHC strings, and Django's argon2$…
//   - scrypt: $scrypt$ln=16,r=8,p=1$… (PHC, passlib), Django's scrypt$…,
//     Werkzeug's scrypt:32768:8:1$…
//   - PBKDF2 with SHA-1, SHA-256, SHA-512: $pbkdf2-sha256$i=600000$… (PHC),
//     $pbkdf2-sha256$600000$… (passlib), Django's pbkdf2_sha256$…, Werkzeug's
//     pbkdf2:sha256:600000$…
//   - the same after a label of Spring Security: {bcrypt}$2a$…
//   - what it returned
//
// An error says what is wrong and what to do, and holds nothing of the hash.
func Adopt(text string) (encoded string, err error) {
	h, err := read(withoutLabel(text))
	if err != nil {
		return "", err
	}
	return h.String(), nil
}

// withoutLabel takes off what Spring Security's DelegatingPasswordEncoder puts before
// a hash. What its scrypt and PBKDF2 write after it is in none of the forms below, and
// is refused as that.
func withoutLabel(text string) string {
	label, rest, ok := strings.Cut(text, "}")
	if !ok {
		return text
	}
	switch strings.TrimSuffix(label, "@SpringSecurity_v5_8") {
	case "{bcrypt", "{argon2", "{pbkdf2", "{scrypt":
		return rest
	}
	return text
}

// read knows every form of text: ours, which parse then compares, and foreign
// ones.
func read(text string) (stored, error) {
	name, rest, _ := strings.Cut(text, "$")
	if name == "" {
		name, rest, _ = strings.Cut(rest, "$")
		name = "$" + name
	}
	parts := strings.Split(rest, "$")
	switch name {
	case "$2a", "$2b", "$2y":
		return readBcrypt(text)
	case "bcrypt":
		return readBcrypt(rest)
	case "bcrypt_sha256":
		h, err := readBcrypt(rest)
		h.sha256 = true
		return h, err
	case "$argon2id", "$argon2i":
		return readArgon(name[1:], parts)
	case "argon2":
		if variant, rest, _ := strings.Cut(rest, "$"); variant == algArgon2id || variant == algArgon2i {
			return readArgon(variant, strings.Split(rest, "$"))
		}
	case "$scrypt":
		return readScrypt(parts)
	case "scrypt":
		return readDjangoScrypt(parts)
	case "$firebase-scrypt":
		return readFirebase(parts)
	case "$pbkdf2": // of SHA-1
		return readPBKDF2("sha1", parts)
	case "$pbkdf2-sha1", "$pbkdf2-sha256", "$pbkdf2-sha512":
		return readPBKDF2(strings.TrimPrefix(name, "$pbkdf2-"), parts)
	case "pbkdf2_sha1", "pbkdf2_sha256":
		return readDjangoPBKDF2(strings.TrimPrefix(name, "pbkdf2_"), parts)
	}
	switch method, args, _ := strings.Cut(name, ":"); method {
	case "scrypt":
		return readWerkzeugScrypt(args, parts)
	case "pbkdf2":
		return readWerkzeugPBKDF2(args, parts)
	}
	return nil, unknown(name)
}

func readArgon(variant string, parts []string) (stored, error) {
	form := "$" + variant + "$v=19$m=65536,t=3,p=4$salt$hash"
	if _, unversioned := readArgonCost(parts[0]); unversioned || parts[0] == "v=16" {
		return nil, fmt.Errorf("Argon2 before version 19 can't be checked: %s", setAside)
	}
	if len(parts) != 4 || parts[0] != "v=19" {
		return nil, malformed(form)
	}
	cost, ok := readArgonCost(parts[1])
	if !ok {
		return nil, malformed(form)
	}
	return readPHC(argon{variant, cost}, parts[2], parts[3], form)
}

func readScrypt(parts []string) (stored, error) {
	const form = "$scrypt$ln=16,r=8,p=1$salt$hash"
	if len(parts) != 3 {
		return nil, malformed(form)
	}
	n, ok := readParameters(parts[0], "ln", "r", "p")
	if !ok {
		return nil, malformed(form)
	}
	return readPHC(scryptFunc{log2: n[0], block: n[1], lanes: n[2]}, parts[1], parts[2], form)
}

// readDjangoScrypt reads scrypt$N$salt$r$p$hash, with the salt as it is.
func readDjangoScrypt(parts []string) (stored, error) {
	const form = "scrypt$16384$salt$8$5$hash"
	if len(parts) != 5 {
		return nil, malformed(form)
	}
	f, ok := readScryptNumbers(parts[0], parts[2], parts[3])
	tag, ok2 := decodeBase64(parts[4])
	if !ok || !ok2 {
		return nil, malformed(form)
	}
	return newPHC(f, []byte(parts[1]), tag)
}

// readWerkzeugScrypt reads scrypt:N:r:p$salt$hash, with the salt as it is and the
// hash in hexadecimal.
func readWerkzeugScrypt(args string, parts []string) (stored, error) {
	const form = "scrypt:32768:8:1$salt$hash"
	numbers := strings.Split(args, ":")
	if len(numbers) != 3 || len(parts) != 2 {
		return nil, malformed(form)
	}
	f, ok := readScryptNumbers(numbers[0], numbers[1], numbers[2])
	tag, err := hex.DecodeString(parts[1])
	if !ok || err != nil {
		return nil, malformed(form)
	}
	return newPHC(f, []byte(parts[0]), tag)
}

// readScryptNumbers reads N, a power of two, and r and p.
func readScryptNumbers(n, r, p string) (scryptFunc, bool) {
	power, ok := readNumber(n)
	block, ok2 := readNumber(r)
	lanes, ok3 := readNumber(p)
	f := scryptFunc{log2: uint32(bits.TrailingZeros32(power)), block: block, lanes: lanes}
	return f, ok && ok2 && ok3 && bits.OnesCount32(power) == 1
}

// readPBKDF2 reads the iterations in passlib's way, a number, or in that of PHC
// strings: i=600000 and perhaps ,l=32, the length of the hash.
func readPBKDF2(digest string, parts []string) (stored, error) {
	form := "$pbkdf2-" + digest + "$600000$salt$hash"
	if len(parts) != 3 {
		return nil, malformed(form)
	}
	iterations, ok := readNumber(parts[0])
	if n, named := readParameters(parts[0], "i"); named {
		iterations, ok = n[0], true
	}
	salt, ok2 := decodeBase64(parts[1])
	tag, ok3 := decodeBase64(parts[2])
	if n, named := readParameters(parts[0], "i", "l"); named {
		iterations, ok = n[0], int64(n[1]) == int64(len(tag))
	}
	if !ok || !ok2 || !ok3 {
		return nil, malformed(form)
	}
	return newPBKDF2(digest, iterations, salt, tag)
}

// readDjangoPBKDF2 reads pbkdf2_sha256$iterations$salt$hash, with the salt as it
// is.
func readDjangoPBKDF2(digest string, parts []string) (stored, error) {
	form := "pbkdf2_" + digest + "$600000$salt$hash"
	if len(parts) != 3 {
		return nil, malformed(form)
	}
	iterations, ok := readNumber(parts[0])
	tag, ok2 := decodeBase64(parts[2])
	if !ok || !ok2 {
		return nil, malformed(form)
	}
	return newPBKDF2(digest, iterations, []byte(parts[1]), tag)
}

// readWerkzeugPBKDF2 reads pbkdf2:sha256:iterations$salt$hash, with the salt as
// it is and the hash in hexadecimal.
func readWerkzeugPBKDF2(args string, parts []string) (stored, error) {
	const form = "pbkdf2:sha256:600000$salt$hash"
	digest, n, _ := strings.Cut(args, ":")
	if len(parts) != 2 {
		return nil, malformed(form)
	}
	iterations, ok := readNumber(n)
	tag, err := hex.DecodeString(parts[1])
	if !ok || err != nil {
		return nil, malformed(form)
	}
	return newPBKDF2(digest, iterations, []byte(parts[0]), tag)
}

// newPBKDF2 keeps the first block of a longer hash: each costs all the iterations
// again, and whoever guesses looks at one only.
func newPBKDF2(digest string, iterations uint32, salt, tag []byte) (stored, error) {
	f := pbkdf2Func{digest, iterations}
	if f.hash() == nil {
		return nil, fmt.Errorf("PBKDF2 can be checked with SHA-1, SHA-256 and SHA-512 only: %s", setAside)
	}
	return newPHC(f, salt, tag[:min(len(tag), f.hash()().Size())])
}

func malformed(form string) error {
	return fmt.Errorf("the hash does not have the form %s: %s", form, checkExport)
}

// unbearable gets a cost, not the hash.
func unbearable(cost string) error {
	return fmt.Errorf("the cost of the hash is impossible, or more than a server can bear (%s): %s", cost, setAside)
}

// unknown names the kind where that is certain; else the text may be anything,
// even a password.
func unknown(name string) error {
	kind := ""
	switch name {
	case "$1", "$5", "$6", "$y":
		kind = "crypt(3) with " + name + "$"
	case "$2", "$2x":
		kind = "bcrypt of the kind " + name + "$"
	case "argon2", "$argon2d":
		kind = "Argon2 other than Argon2id and Argon2i"
	case "$bcrypt-sha256":
		kind = "passlib's bcrypt_sha256"
	case "$P", "$H":
		kind = "phpass"
	case "md5", "sha1", "unsalted_md5", "unsalted_sha1", "sha256", "sha512":
		kind = "a salted " + name
	}
	switch {
	case kind != "":
		return fmt.Errorf("%s can't be checked: %s", kind, setAside)
	case name == "$":
		return errors.New("there is no hash: " + setAside)
	case strings.HasPrefix(name, "!"):
		return errors.New("the hash says that there is no password: " + setAside)
	}
	return errors.New("the hash is not bcrypt, Argon2, scrypt or PBKDF2 in any form that we know: " + setAside)
}
