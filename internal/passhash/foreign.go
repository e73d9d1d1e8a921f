package passhash

import (
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
)

// Adopt converts the text of a hash in another system into the form that Verify reads.
// It accepts
//
//   - bcrypt: $2a$, $2b$, $2y$, and Django's bcrypt$… and bcrypt_sha256$…,
//     passlib's $bcrypt-sha256$…, WordPress's $wp$2y$…
//   - Argon2id and Argon2i, version 19: PHC strings, and Django's argon2$…
//   - scrypt: $scrypt$ln=16,r=8,p=1$… (PHC, passlib, Ory Kratos), Django's scrypt$…,
//     Werkzeug's scrypt:32768:8:1$…, Spring's $e0801$…, salt:hash of Better Auth, Lucia
//     and Node.js, hash.salt of Node.js, $firescrypt$… of Ory Kratos
//   - PBKDF2 with SHA-1, SHA-256, SHA-512: $pbkdf2-sha256$i=600000$… (PHC),
//     $pbkdf2-sha256$600000$… (passlib), Django's pbkdf2_sha256$…, Werkzeug's
//     pbkdf2:sha256:600000$…, ASP.NET Core Identity, versions 2 and 3
//   - crypt(3) with SHA-256 and SHA-512: $5$…, $6$…
//   - these after a label of Spring Security, LDAP or Dovecot: {bcrypt}$2a$…
//   - the results of Adopt and Prehashed
//
// Errors say what is wrong and what to do. They contain no part of the hash.
func Adopt(text string) (encoded string, err error) {
	h, err := readAnyForm(text)
	if err != nil {
		return "", err
	}
	return h.String(), nil
}

// readAnyForm reads the stored form and the forms of other systems. parseStoredForm accepts only the stored form.
func readAnyForm(text string) (storedHash, error) {
	if h, ok, err := readPrehashed(text); ok {
		return h, err
	}
	if h, ok, err := readLabelled(text); ok {
		return h, err
	}
	name, rest, parts := cutFunctionName(text)
	if h, ok, err := readCrypt(name, text, rest, parts); ok {
		return h, err
	}
	switch method, args, _ := strings.Cut(name, ":"); method {
	case "scrypt":
		return readWerkzeugScrypt(args, parts)
	case "pbkdf2":
		return readWerkzeugPBKDF2(args, parts)
	}
	if h, ok := readHexPair(text, ""); ok {
		return h, nil
	}
	if h, ok, err := readASPNET(text); ok {
		return h, err
	}
	if strings.HasPrefix(name, "$") && isSpringScrypt(name[1:]) {
		return readSpringScrypt(append([]string{name[1:]}, parts...))
	}
	if kind := digestKind(text); kind != "" {
		return nil, fmt.Errorf("%s can't be checked: %s", kind, resetByMail)
	}
	return nil, unknownHashError(name)
}

// cutFunctionName cuts at the first dollar sign, or at the second one if the text begins with a dollar sign.
func cutFunctionName(text string) (name, rest string, parts []string) {
	name, rest, _ = strings.Cut(text, "$")
	if name == "" {
		name, rest, _ = strings.Cut(rest, "$")
		name = "$" + name
	}
	return name, rest, strings.Split(rest, "$")
}

// readCrypt reads a hash that begins with the name of its function and a dollar sign.
func readCrypt(name, text, rest string, parts []string) (h storedHash, ok bool, err error) {
	switch name {
	case "$2a", "$2b", "$2y":
		h, err = readBcrypt(text)
	case "bcrypt":
		h, err = readBcrypt(rest)
	case "bcrypt_sha256":
		var inner bcryptHash
		inner, err = readBcrypt(rest)
		inner.hashesSHA256 = true
		h = inner
	case "$bcrypt-sha256":
		h, err = readPasslibBcrypt(parts)
	case "$argon2id", "$argon2i":
		h, err = readArgon(name[1:], parts)
	case "argon2":
		variant, rest, _ := strings.Cut(rest, "$")
		if variant != algArgon2id && variant != algArgon2i {
			return nil, false, nil
		}
		h, err = readArgon(variant, strings.Split(rest, "$"))
	case "$scrypt":
		h, err = readScrypt(parts)
	case "scrypt":
		h, err = readDjangoScrypt(parts)
	case "$scrypt-node":
		h, err = readNodeScrypt(parts)
	case "$firebase-scrypt":
		h, err = readFirebase(parts)
	case "$firescrypt":
		h, err = readKratosFirebase(parts)
	case "$5", "$6":
		h, err = readSHACrypt(name[1:], parts)
	case "$pbkdf2": // with SHA-1
		h, err = readPBKDF2("sha1", parts)
	case "$pbkdf2-sha1", "$pbkdf2-sha256", "$pbkdf2-sha512":
		h, err = readPBKDF2(strings.TrimPrefix(name, "$pbkdf2-"), parts)
	case "pbkdf2_sha1", "pbkdf2_sha256", "pbkdf2_sha512":
		h, err = readDjangoPBKDF2(strings.TrimPrefix(name, "pbkdf2_"), parts)
	default:
		return nil, false, nil
	}
	return h, true, err
}

func readArgon(variant string, parts []string) (storedHash, error) {
	form := "$" + variant + "$v=19$m=65536,t=3,p=4$salt$hash"
	if _, unversioned := parseArgonCostAnyOrder(parts[0]); unversioned || parts[0] == "v=16" {
		return nil, fmt.Errorf("Argon2 before version 19 can't be checked: %s", resetByMail)
	}
	if len(parts) != 4 || parts[0] != "v=19" {
		return nil, malformed(form)
	}
	cost, ok := parseArgonCostAnyOrder(parts[1])
	if !ok {
		return nil, malformed(form)
	}
	return readPHC(argonFunc{variant, cost}, parts[2], parts[3], form)
}

func readScrypt(parts []string) (storedHash, error) {
	const form = "$scrypt$ln=16,r=8,p=1$salt$hash"
	if len(parts) != 3 {
		return nil, malformed(form)
	}
	n, ok := readParameters(parts[0], "ln", "r", "p")
	if !ok {
		return nil, malformed(form)
	}
	if n[0] >= 1<<10 && bits.OnesCount32(n[0]) == 1 { // Ory Kratos writes N instead of its logarithm
		n[0] = uint32(bits.TrailingZeros32(n[0]))
	}
	return readPHC(scryptFunc{log2: n[0], block: n[1], lanes: n[2]}, parts[1], parts[2], form)
}

// readDjangoScrypt reads scrypt$N$salt$r$p$hash. The salt is text, not base64.
func readDjangoScrypt(parts []string) (storedHash, error) {
	const form = "scrypt$16384$salt$8$5$hash"
	if len(parts) != 5 {
		return nil, malformed(form)
	}
	f, ok := readScryptNumbers(parts[0], parts[2], parts[3])
	tag, ok2 := decodeAnyBase64(parts[4])
	if !ok || !ok2 {
		return nil, malformed(form)
	}
	return newPHC(f, []byte(parts[1]), tag)
}

// readWerkzeugScrypt reads scrypt:N:r:p$salt$hash. The salt is text, the hash hexadecimal.
func readWerkzeugScrypt(args string, parts []string) (storedHash, error) {
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

// readScryptNumbers reads N, which must be a power of two, r and p.
func readScryptNumbers(n, r, p string) (scryptFunc, bool) {
	power, ok := readNumber(n)
	block, ok2 := readNumber(r)
	lanes, ok3 := readNumber(p)
	f := scryptFunc{log2: uint32(bits.TrailingZeros32(power)), block: block, lanes: lanes}
	return f, ok && ok2 && ok3 && bits.OnesCount32(power) == 1
}

// readPBKDF2 reads iterations, salt and hash. The iterations are a number (passlib), or
// i=600000 with an optional ,l=32, the length of the hash (PHC).
func readPBKDF2(digest string, parts []string) (storedHash, error) {
	form := "$pbkdf2-" + digest + "$600000$salt$hash"
	if len(parts) != 3 {
		return nil, malformed(form)
	}
	iterations, ok := readNumber(parts[0])
	if n, named := readParameters(parts[0], "i"); named {
		iterations, ok = n[0], true
	}
	salt, ok2 := decodeAnyBase64(parts[1])
	tag, ok3 := decodeAnyBase64(parts[2])
	if n, named := readParameters(parts[0], "i", "l"); named {
		iterations, ok = n[0], int64(n[1]) == int64(len(tag))
	}
	if !ok || !ok2 || !ok3 {
		return nil, malformed(form)
	}
	return newPBKDF2(digest, iterations, salt, tag)
}

// readDjangoPBKDF2 reads pbkdf2_sha256$iterations$salt$hash. The salt is text, not base64.
func readDjangoPBKDF2(digest string, parts []string) (storedHash, error) {
	form := "pbkdf2_" + digest + "$600000$salt$hash"
	if len(parts) != 3 {
		return nil, malformed(form)
	}
	iterations, ok := readNumber(parts[0])
	tag, ok2 := decodeAnyBase64(parts[2])
	if !ok || !ok2 {
		return nil, malformed(form)
	}
	return newPBKDF2(digest, iterations, []byte(parts[1]), tag)
}

// readWerkzeugPBKDF2 reads pbkdf2:sha256:iterations$salt$hash. The salt is text, the hash
// hexadecimal.
func readWerkzeugPBKDF2(args string, parts []string) (storedHash, error) {
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

// newPBKDF2 returns a hash that keeps only the first block of the tag. Checking the other blocks would repeat all
// iterations. It would not slow down an attacker, because an attacker computes only the first block.
func newPBKDF2(digest string, iterations uint32, salt, tag []byte) (storedHash, error) {
	f := pbkdf2Func{digest, iterations}
	if f.digestConstructor() == nil {
		return nil, fmt.Errorf("PBKDF2 can be checked with SHA-1, SHA-256 and SHA-512 only: %s", resetByMail)
	}
	return newPHC(f, salt, tag[:min(len(tag), f.digestConstructor()().Size())])
}
