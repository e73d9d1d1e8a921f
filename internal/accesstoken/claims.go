package accesstoken

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
)

// parseClaims reads a payload strictly: encoding/json alone would match names in
// any case, take the last of two, and let numbers be other than whole.
func parseClaims(payload []byte) (Claims, bool) {
	members, ok := object(payload)
	if !ok {
		return Claims{}, false
	}
	var c Claims
	for name, into := range map[string]*string{
		"iss": &c.Issuer, "sub": &c.Subject, "sid": &c.SessionID, "jti": &c.ID, "acr": &c.ACR,
	} {
		if !text(members[name], into) {
			return Claims{}, false
		}
	}
	for name, into := range map[string]*int64{
		"iat": &c.IssuedAt, "nbf": &c.NotBefore, "exp": &c.Expires, "auth_time": &c.AuthTime,
	} {
		if !seconds(members[name], into) {
			return Claims{}, false
		}
	}
	var audience string
	if text(members["aud"], &audience) {
		c.Audience = Audience{audience}
	} else if !texts(members["aud"], (*[]string)(&c.Audience)) {
		return Claims{}, false
	}
	if !texts(members["roles"], &c.Roles) || !texts(members["amr"], &c.AMR) {
		return Claims{}, false
	}
	return c, true
}

// object reads the members of a JSON object, each name once.
func object(data []byte) (map[string]json.RawMessage, bool) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	members := map[string]json.RawMessage{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, false
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, false
		}
		if _, twice := members[name.(string)]; twice {
			return nil, false
		}
		members[name.(string)] = raw
	}
	if _, err := decoder.Token(); err != nil {
		return nil, false
	}
	_, err := decoder.Token()
	return members, err == io.EOF
}

func text(raw json.RawMessage, into *string) bool {
	return len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, into) == nil
}

// texts reads an array of strings.
func texts(raw json.RawMessage, into *[]string) bool {
	var elements []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &elements) != nil {
		return false
	}
	*into = make([]string, len(elements))
	for i, element := range elements {
		if !text(element, &(*into)[i]) {
			return false
		}
	}
	return true
}

// seconds reads a whole number of seconds that is neither negative nor absurd.
func seconds(raw json.RawMessage, into *int64) bool {
	if len(raw) == 0 || len(raw) > 12 || raw[0] < '0' || raw[0] > '9' {
		return false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	*into = n
	return err == nil && n > 0
}
