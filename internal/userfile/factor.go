package userfile

import (
	"encoding/json"

	"github.com/watchword-auth/watchword/internal/factorfile"
	"github.com/watchword-auth/watchword/internal/totp"
)

// This file reads second factors. A secret that can't be read is a problem and not skipped silently. Otherwise only
// the password would protect the account. A secret is skipped if a column says that the factor is off. The user may
// never have confirmed such a secret, and could then not sign in.

const (
	leaveOut  = ". If it is encrypted, decrypt it first. --totp=- leaves these factors out"
	keycloaks = "Keycloak's is not a TOTP with SHA1, 6 digits and 30 seconds. --totp=- leaves these factors out"
)

// readFactors reads the authenticator apps of other systems, and all factors of our own export.
func (r *rowReader) readFactors() {
	if pick, ok := r.pick(SecondFactors); ok && !isEmpty(pick.value) {
		text, isText := pick.value.(string)
		if !isText {
			raw, _ := json.Marshal(pick.value) //nolint:errchkjson // can't fail: it was decoded from JSON
			text = string(raw)
		}
		all, err := factorfile.Parse(text)
		if err != nil {
			r.addProblem(SecondFactors, err.Error()+". --second-factors=- leaves them out")
		}
		r.row.Factors = append(r.row.Factors, all...)
	}
	on, says := Mark{Set: true}, false
	if pick, ok := r.pick(TOTPEnabled); ok {
		says = true
		if on, ok = parseMark(pick.value); !ok {
			r.addProblem(TOTPEnabled, notBool)
		}
	}
	if secret := r.readText(TOTP); secret != "" && on.Set {
		r.addApp(factorfile.Factor{Kind: factorfile.TOTP, Secret: secret})
	}
	if list, ok := r.values[keycloakCredentials].([]any); ok && r.columns.namedColumns[TOTP] == "" {
		r.readKeycloakApps(list)
	}
	r.row.LostFactor = says && on.Set && len(r.row.Factors) == 0
}

// readKeycloakApps reads the authenticator apps in the credentials of a Keycloak user. By default, Keycloak stores
// the secret as plain text, and the user's app has the bytes of this text in base32.
func (r *rowReader) readKeycloakApps(list []any) {
	for _, each := range list {
		credential, _ := each.(map[string]any)
		if credential["type"] != "otp" {
			continue
		}
		r.markAsUsed(keycloakCredentials)
		var secret struct{ Value string }
		var data struct {
			SubType, Algorithm, SecretEncoding string
			Digits, Period                     int
		}
		for member, into := range map[string]any{"secretData": &secret, "credentialData": &data} {
			text, _ := credential[member].(string)
			if json.Unmarshal([]byte(text), into) != nil {
				r.addProblem(TOTP, keycloaks)
				return
			}
		}
		if data.SubType != "totp" || data.Algorithm != "HmacSHA1" || data.Digits != 6 || data.Period != 30 {
			r.addProblem(TOTP, keycloaks)
			return
		}
		if data.SecretEncoding != "BASE32" {
			secret.Value = totp.Text([]byte(secret.Value))
		}
		name, _ := credential["userLabel"].(string)
		r.addApp(factorfile.Factor{Kind: factorfile.TOTP, Name: name, Secret: secret.Value})
	}
}

// addApp adds an authenticator app to the row. If its secret can't be read, addApp adds a problem instead.
func (r *rowReader) addApp(f factorfile.Factor) {
	if _, _, err := totp.Parse(f.Secret); err != nil {
		r.addProblem(TOTP, err.Error()+leaveOut)
		return
	}
	r.row.Factors = append(r.row.Factors, f)
}
