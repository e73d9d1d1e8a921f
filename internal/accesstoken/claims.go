package accesstoken

import (
	"encoding/json"
	"strconv"
)

// parseClaims parses a payload. It reports false if a standard claim other than nbf is missing, or if any standard
// claim has the wrong type. It stores all other claims in Extra, unparsed.
func parseClaims(payload []byte) (Claims, bool) {
	var c Claims
	found := 0
	ok := members(payload, func(name, value string) (ok bool) {
		found++
		switch name {
		case "iss":
			c.Issuer, ok = text(value)
		case "aud":
			c.Audience, ok = audience(value)
		case "sub":
			c.Subject, ok = text(value)
		case "sid":
			c.SessionID, ok = text(value)
		case "jti":
			c.ID, ok = text(value)
		case "iat":
			c.IssuedAt, ok = seconds(value)
		case "nbf":
			c.NotBefore, ok = seconds(value)
		case "exp":
			c.Expires, ok = seconds(value)
		case "auth_time":
			c.AuthTime, ok = seconds(value)
		case "roles":
			c.Roles, ok = texts(value)
		case "amr":
			c.AMR, ok = texts(value)
		case "acr":
			c.ACR, ok = text(value)
		default:
			found--
			ok = true
			if c.Extra == nil {
				c.Extra = map[string]any{}
			}
			c.Extra[name] = json.RawMessage(value)
		}
		return ok
	})
	if c.NotBefore == 0 { // 0 means that nbf, which is optional, is absent: the function seconds rejects 0
		found++
	}
	if !ok || found != len(standard) {
		return Claims{}, false
	}
	return c, true
}

// audience parses a string or an array of strings (RFC 7519, section 4.1.3).
func audience(value string) (Audience, bool) {
	if one, ok := text(value); ok {
		return Audience{one}, true
	}
	return texts(value)
}

// seconds parses a whole number of seconds above zero, with at most 12 digits.
func seconds(value string) (int64, bool) {
	if len(value) > 12 || value[0] < '0' || value[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(value, 10, 64)
	return n, err == nil && n > 0
}
