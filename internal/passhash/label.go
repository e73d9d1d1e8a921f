package passhash

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// readLabelled reads a hash after a label in braces that names its scheme: a label of
// Spring Security's DelegatingPasswordEncoder, of LDAP servers (RFC 2307) or of Dovecot.
// ok is false if the text has no such label.
func readLabelled(text string) (h storedHash, ok bool, err error) {
	label, rest, cut := strings.Cut(text, "}")
	if !cut || !strings.HasPrefix(label, "{") {
		return nil, false, nil
	}
	label, version58 := strings.CutSuffix(label[1:], "@SpringSecurity_v5_8")
	switch name := strings.ToUpper(label); name {
	case "BCRYPT", "ARGON2", "ARGON2I", "ARGON2ID", "BLF-CRYPT", "CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "PBKDF2",
		"SCRYPT",
		"PBKDF2-SHA1", "PBKDF2-SHA256", "PBKDF2-SHA512":
		h, err = readAfterLabel(name, rest, version58)
	case "NOOP", "PLAIN", "CLEAR", "CLEARTEXT":
		err = errPlain
	case "MD5", "SMD5", "SHA", "SSHA", "SHA1", "SHA256", "SSHA256", "SHA384", "SSHA384", "SHA512", "SSHA512",
		"SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512", "LDAP", "MD4", "NTLM", "LANMAN", "SASL", "KERBEROS":
		err = fmt.Errorf("{%s} of LDAP or Spring Security can't be checked: %s", name, resetByMail)
	default:
		return nil, false, nil
	}
	return h, true, err
}

// readAfterLabel reads the hash after the label name.
func readAfterLabel(name, rest string, version58 bool) (storedHash, error) {
	if digest, ok := strings.CutPrefix(name, "PBKDF2"); ok {
		if raw, err := hex.DecodeString(rest); err == nil && rest != "" && digest == "" {
			return readSpringPBKDF2(raw, version58)
		}
		if parts := strings.Split(rest, "$"); len(parts) == 3 && parts[0] != "" { // OpenLDAP's pw-pbkdf2
			digest = strings.ToLower(strings.TrimPrefix(digest, "-"))
			if digest == "" {
				digest = "sha1"
			}
			return readPBKDF2(digest, parts)
		}
	}
	if name == "SCRYPT" && !strings.HasPrefix(rest, "$scrypt$") && strings.HasPrefix(rest, "$") {
		return readSpringScrypt(strings.Split(rest[1:], "$"))
	}
	if strings.HasPrefix(rest, "{") {
		return nil, unknownHashError("{")
	}
	return readAnyForm(rest)
}

// readSpringScrypt reads $e0801$salt$hash: log2 of N, r and p in hexadecimal digits.
func readSpringScrypt(parts []string) (storedHash, error) {
	const form = "$e0801$salt$hash"
	if len(parts) != 3 || !isSpringScrypt(parts[0]) {
		return nil, malformed(form)
	}
	n, err := strconv.ParseUint(parts[0], 16, 32)
	if err != nil {
		return nil, malformed(form)
	}
	return readPHC(scryptFunc{log2: uint32(n >> 16), block: uint32(n >> 8 & 0xff), lanes: uint32(n & 0xff)}, parts[1],
		parts[2], form)
}

func isSpringScrypt(parameters string) bool {
	return (len(parameters) == 5 || len(parameters) == 6) && strings.Trim(parameters, "0123456789abcdef") == ""
}
