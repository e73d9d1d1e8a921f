package passhash

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

type keycloakCredentialData struct {
	Algorithm            string              `json:"algorithm"`
	HashIterations       uint32              `json:"hashIterations"`
	AdditionalParameters map[string][]string `json:"additionalParameters"` // for Argon2
}

type keycloakSecretData struct {
	Value string `json:"value"`
	Salt  string `json:"salt"`
}

// AdoptKeycloak converts a credential of the type "password" in a realm export into the form that Verify reads. Its
// arguments are the two JSON texts of the credential. It accepts the algorithms pbkdf2, pbkdf2-sha256, pbkdf2-sha512
// and argon2. Errors say what is wrong and what to do. They contain no part of the hash.
func AdoptKeycloak(credentialData, secretData string) (encoded string, err error) {
	var data keycloakCredentialData
	if json.Unmarshal([]byte(credentialData), &data) != nil { // do not return the error of json: it may quote the text
		return "", errors.New("credentialData is not the JSON that Keycloak writes: " + checkExport)
	}
	var secret keycloakSecretData
	if json.Unmarshal([]byte(secretData), &secret) != nil {
		return "", errors.New("secretData is not the JSON that Keycloak writes: " + checkExport)
	}
	salt, ok := decodeAnyBase64(secret.Salt)
	tag, ok2 := decodeAnyBase64(secret.Value)
	if !ok || !ok2 {
		return "", errors.New("the value or the salt of secretData is not base64: " + checkExport)
	}
	h, err := data.stored(salt, tag)
	if err != nil {
		return "", err
	}
	return h.String(), nil
}

func (d keycloakCredentialData) stored(salt, tag []byte) (storedHash, error) {
	switch d.Algorithm {
	case "pbkdf2":
		return newPBKDF2("sha1", d.HashIterations, salt, tag)
	case "pbkdf2-sha256", "pbkdf2-sha512":
		return newPBKDF2(strings.TrimPrefix(d.Algorithm, "pbkdf2-"), d.HashIterations, salt, tag)
	case "argon2":
		return d.argon(salt, tag)
	}
	return nil, fmt.Errorf("the algorithm of credentialData is not pbkdf2, pbkdf2-sha256, pbkdf2-sha512 or argon2: %s",
		resetByMail)
}

func (d keycloakCredentialData) argon(salt, tag []byte) (storedHash, error) {
	variant, version := "argon2"+d.firstParameter("type"), d.firstParameter("version")
	memory, ok := readNumber(d.firstParameter("memory"))
	lanes, ok2 := readNumber(d.firstParameter("parallelism"))
	size, ok3 := readNumber(d.firstParameter("hashLength"))
	switch {
	case !ok || !ok2 || !ok3 || int64(size) != int64(len(tag)):
		return nil, errors.New("credentialData lacks memory, parallelism or hashLength, or the value has another length: " +
			checkExport)
	case variant != algArgon2id && variant != algArgon2i || version != "1.3":
		return nil, fmt.Errorf("Argon2 can be checked with the type id or i and the version 1.3 only: %s", resetByMail)
	}
	return newPHC(argonFunc{variant, argonCost{memory: memory, passes: d.HashIterations, lanes: lanes}}, salt, tag)
}

// firstParameter returns the first value of a parameter, or "". It ignores further values, as Keycloak does.
func (d keycloakCredentialData) firstParameter(name string) string {
	if values := d.AdditionalParameters[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}
