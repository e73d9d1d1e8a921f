package passhash

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// readASPNET reads a hash of the PasswordHasher of ASP.NET Core Identity, in base64. In version 2, a hash consists of
// the byte 0, 16 bytes of salt, and 32 bytes of PBKDF2 with SHA-1 and 1000 iterations. In version 3, it begins with
// the byte 1, the digest, the iterations and the length of the salt. The salt and the output of PBKDF2 follow. ok is
// false for any other text.
func readASPNET(text string) (h storedHash, ok bool, err error) {
	raw, failed := base64.StdEncoding.DecodeString(text)
	if failed != nil || len(raw) < 49 {
		return nil, false, nil
	}
	const head = 13
	switch {
	case raw[0] == 0 && len(raw) == 49:
		h, err = newPBKDF2("sha1", 1000, raw[1:17], raw[17:])
		return h, true, err
	case raw[0] != 1:
		return nil, false, nil
	}
	prf, iterations, size := binary.BigEndian.Uint32(
		raw[1:],
	), binary.BigEndian.Uint32(
		raw[5:],
	), binary.BigEndian.Uint32(
		raw[9:],
	)
	if prf > 2 || size < 8 || size > maxSalt || head+int(size)+minTag > len(raw) || len(raw) > head+maxSalt+maxTag {
		return nil, false, nil
	}
	digest := [...]string{"sha1", "sha256", "sha512"}[prf]
	h, err = newPBKDF2(digest, iterations, raw[head:head+size], raw[head+size:])
	return h, true, err
}

// readSpringPBKDF2 reads salt and hash in one sequence of bytes, with the default parameters of Spring Security's
// Pbkdf2PasswordEncoder. version58 selects the defaults of Spring Security 5.8 and later.
func readSpringPBKDF2(raw []byte, version58 bool) (storedHash, error) {
	digest, iterations, salt := "sha1", uint32(185000), 8
	if version58 {
		digest, iterations, salt = "sha256", 310000, 16
	}
	if len(raw) != salt+32 {
		return nil, fmt.Errorf("{pbkdf2} has %d bytes, not the %d that Spring Security writes by default: %s", len(raw),
			salt+32, resetByMail)
	}
	return newPBKDF2(digest, iterations, raw[:salt], raw[salt:])
}
