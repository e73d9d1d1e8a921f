package passhash

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Encodings of the salt of a Source.
const (
	SaltBase64 = "base64"
	SaltHex    = "hex"
	SaltText   = "text" // the text itself is the salt
)

// A Source is a hash of another system that stores its parts separately.
type Source struct {
	Text         string // the hash
	Salt         string // empty: Text contains it
	Algorithm    string // name in the other system; empty: Text names it
	Factor       string // iterations, or the cost of bcrypt; empty: the default of the other system
	SaltEncoding string // SaltBase64, SaltHex or SaltText; empty: as the form or the algorithm implies
}

// Adopt converts a Source into the form that Verify reads. In addition to the forms of the function Adopt, it reads
// bcrypt of Okta and FusionAuth, and PBKDF2 of FusionAuth, Okta, Casdoor, Discourse and passport-local-mongoose. If
// the salt could be hexadecimal or base64, the caller must set SaltEncoding. Errors contain no part of the hash.
func (s Source) Adopt() (string, error) {
	algorithm := strings.ToLower(strings.NewReplacer("_", "-", " ", "-").Replace(strings.TrimSpace(s.Algorithm)))
	if parts, ok := splitPHC(s.Text); ok {
		return s.adoptPHC(parts)
	}
	switch {
	case algorithm == "plain" || algorithm == "plaintext" || algorithm == "cleartext":
		return "", errPlain
	case s.SaltEncoding != "" && s.Salt == "":
		if h, ok := readHexPair(s.Text, s.SaltEncoding); ok {
			return h.String(), nil
		}
	}
	encoded, whole := Adopt(s.Text)
	if whole == nil && !(s.Salt != "" && algorithm != "" && !strings.Contains(s.Text, "$")) {
		return encoded, nil
	}
	h, known, err := s.readSeparateParts(algorithm)
	switch {
	case err != nil:
		return "", err
	case known:
		return h.String(), nil
	case whole == nil:
		return encoded, nil
	case s.Salt != "" && algorithm == "":
		return "", fmt.Errorf("the salt is in a separate column, and the file does not name the function of the hash: %s",
			resetByMail)
	case showableAlgorithm.MatchString(algorithm):
		return "", fmt.Errorf("the algorithm %s can't be checked: %s", algorithm, resetByMail)
	}
	return "", whole
}

// showableAlgorithm matches the names that an error may show. It must not match any other text: if columns were mixed
// up, the text may be a password or a hash.
var showableAlgorithm = regexp.MustCompile(`^(salted-)?(md[45]|sha-?\d*|hmac|phpass|ldap|ssha|legacy|salt|scrypt|aws-?cognito)(-[a-z0-9]{1,10}){0,3}$`)

// splitPHC splits a PHC string at its dollar signs. It reports false for other texts. The salt of such a string
// should be in base64.
func splitPHC(text string) (parts []string, ok bool) {
	for _, prefix := range []string{"$argon2id$v=", "$argon2i$v=", "$scrypt$ln=", "$pbkdf2"} {
		if strings.HasPrefix(text, prefix) {
			parts = strings.Split(text, "$")
			return parts, len(parts) >= 5
		}
	}
	return nil, false
}

// hexSaltPattern matches only hexadecimal digits. The base64 of random bytes practically never has this form.
var hexSaltPattern = regexp.MustCompile(`^[0-9a-f]{20,}$|^[0-9A-F]{20,}$`)

// adoptPHC re-encodes the salt in base64 and adopts the string.
func (s Source) adoptPHC(parts []string) (string, error) {
	salt := &parts[len(parts)-2]
	raw := []byte(*salt)
	switch {
	case s.SaltEncoding == SaltHex:
		var err error
		if raw, err = hex.DecodeString(*salt); err != nil {
			return "", errors.New("the salt of the hash is not hexadecimal: remove --salt-encoding")
		}
		*salt = strings.TrimRight(encode64(raw), "=")
	case s.SaltEncoding == SaltText:
		*salt = strings.TrimRight(encode64(raw), "=")
	case s.SaltEncoding == "" && hexSaltPattern.MatchString(*salt):
		return "", errors.New("the salt of the hash is hexadecimal digits where base64 is expected. " +
			"Write --salt-encoding text, hex or base64; --try with a password that you know shows which")
	}
	return Adopt(strings.Join(parts, "$"))
}

// readSeparateParts reads a hash whose parts are in separate columns. It recognizes the kind by the algorithm in the
// file, or by lengths that only one program uses. recognized is false for any other hash.
func (s Source) readSeparateParts(algorithm string) (h storedHash, recognized bool, err error) {
	const passportDigits, passportIterations = 1024, 25000
	switch {
	case algorithm == "bcrypt" && len(s.Salt) == 22 && len(s.Text) == 31: // FusionAuth, Okta
		cost, ok := readNumber(strings.TrimSpace(s.Factor))
		if !ok || cost > 99 {
			return nil, true, errors.New("the cost of bcrypt is missing beside the hash: " + checkExport)
		}
		h, err = readBcrypt(fmt.Sprintf("$2a$%02d$%s%s", cost, s.Salt, s.Text))
	case strings.HasPrefix(algorithm, "$pbkdf2-"): // Discourse: $pbkdf2-sha256$i=64000,l=32$
		h, err = s.readDiscourse(algorithm)
	case strings.Contains(algorithm, "pbkdf2"):
		h, err = s.readPBKDF2(algorithm)
	case algorithm == "" && len(s.Text) == passportDigits && s.Salt != "": // passport-local-mongoose
		var tag []byte
		if tag, err = hex.DecodeString(s.Text); err == nil {
			h, err = newPBKDF2("sha256", passportIterations, []byte(s.Salt), tag)
		}
	default:
		return nil, false, nil
	}
	return h, true, err
}

func (s Source) readDiscourse(algorithm string) (storedHash, error) {
	name, parameters, _ := strings.Cut(strings.Trim(algorithm, "$"), "$")
	iterations, _, _ := strings.Cut(strings.TrimPrefix(parameters, "i="), ",")
	n, ok := readNumber(iterations)
	tag, err := hex.DecodeString(s.Text)
	salt, ok2 := s.decodeSalt(SaltText)
	if !ok || !ok2 || err != nil {
		return nil, malformed("$pbkdf2-sha256$i=64000,l=32$ in one column and hexadecimal digits in another")
	}
	return newPBKDF2(strings.TrimPrefix(name, "pbkdf2-"), n, salt, tag)
}

var digestName = regexp.MustCompile(`sha-?(1|256|512)`)

// readPBKDF2 reads salt and hash in base64, as FusionAuth, Okta and Casdoor write them. Files of Casdoor do not
// contain the iterations, which are always the same.
func (s Source) readPBKDF2(algorithm string) (storedHash, error) {
	const casdoorIterations = 27500
	digest := "sha256"
	if found := digestName.FindStringSubmatch(algorithm); found != nil {
		digest = "sha" + found[1]
	}
	iterations, err := strconv.ParseUint(strings.TrimSpace(s.Factor), 10, 32)
	if algorithm == "pbkdf2-salt" && s.Factor == "" {
		iterations, err = casdoorIterations, nil
	}
	tag, ok := decodeAnyBase64(s.Text)
	if hexTag, failed := hex.DecodeString(s.Text); failed == nil && len(hexTag) >= minTag {
		tag, ok = hexTag, true
	}
	salt, ok2 := s.decodeSalt(SaltBase64)
	if err != nil || !ok || !ok2 {
		return nil, errors.New("PBKDF2 needs iterations, salt and hash in separate columns, salt and hash in base64: " +
			checkExport)
	}
	return newPBKDF2(digest, uint32(iterations), salt, tag)
}

func (s Source) decodeSalt(defaultEncoding string) ([]byte, bool) {
	encoding := s.SaltEncoding
	if encoding == "" {
		encoding = defaultEncoding
	}
	switch encoding {
	case SaltHex:
		raw, err := hex.DecodeString(s.Salt)
		return raw, err == nil
	case SaltBase64:
		return decodeAnyBase64(s.Salt)
	}
	return []byte(s.Salt), true
}
