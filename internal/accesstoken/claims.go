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
	ok := visitMembers(payload, func(name, value string) (ok bool) {
		found++
		switch name {
		case "iss":
			c.Issuer, ok = parseString(value)
		case "aud":
			c.Audience, ok = parseAudience(value)
		case "sub":
			c.Subject, ok = parseString(value)
		case "sid":
			c.SessionID, ok = parseString(value)
		case "jti":
			c.ID, ok = parseString(value)
		case "iat":
			c.IssuedAt, ok = parseSeconds(value)
		case "nbf":
			c.NotBefore, ok = parseSeconds(value)
		case "exp":
			c.Expires, ok = parseSeconds(value)
		case "auth_time":
			c.AuthTime, ok = parseSeconds(value)
		case "roles":
			c.Roles, ok = parseStrings(value)
		case "amr":
			c.AMR, ok = parseStrings(value)
		case "acr":
			c.ACR, ok = parseString(value)
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
	if c.NotBefore == 0 { // 0 means that nbf, which is optional, is absent: parseSeconds rejects 0
		found++
	}
	if !ok || found != len(standardClaims) {
		return Claims{}, false
	}
	return c, true
}

// parseAudience accepts a string or an array of strings (RFC 7519, section 4.1.3).
func parseAudience(value string) (Audience, bool) {
	if one, ok := parseString(value); ok {
		return Audience{one}, true
	}
	return parseStrings(value)
}

// parseSeconds accepts only a whole number above zero, with at most 12 digits.
func parseSeconds(value string) (int64, bool) {
	if len(value) > 12 || value[0] < '0' || value[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(value, 10, 64)
	return n, err == nil && n > 0
}
