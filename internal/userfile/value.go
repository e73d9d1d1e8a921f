package userfile

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// This file reads texts, booleans, times and lists in the spellings of other systems. A value is a string from CSV,
// or a decoded value from JSON. MongoDB's extended JSON
// (https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/) is unwrapped first.

// Problems of a value.
const (
	notText  = "not text"
	notBool  = "neither true nor false"
	notTime  = "not a date: write RFC 3339, or seconds or milliseconds since 1970, or skip dates with --created-at=-"
	notRoles = "not a list of names"
	onlyRefs = "refers to documents of another collection. Write their names instead, or skip roles with --roles=-"
)

// unwrapExtendedJSON returns the plain value of an object in MongoDB's extended JSON, such as {"$oid": "…"}. It
// returns any other value unchanged.
func unwrapExtendedJSON(value any) any {
	object, ok := value.(map[string]any)
	if !ok || len(object) == 0 || len(object) > 2 {
		return value
	}
	for _, key := range []string{"$oid", "$uuid", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal"} {
		if text, ok := object[key].(string); ok {
			if strings.HasPrefix(key, "$number") {
				return json.Number(text)
			}
			return text
		}
	}
	if date, ok := object["$date"]; ok {
		return unwrapExtendedJSON(date)
	}
	if id, ok := parseBinaryUUID(object); ok {
		return id
	}
	return value
}

// parseBinaryUUID reads a UUID in 16 bytes of subtype 4, in extended JSON of version 1 or 2. It does not read subtype
// 3, whose byte order depends on the driver that wrote it.
func parseBinaryUUID(object map[string]any) (string, bool) {
	text, kind := object["$binary"], object["$type"]
	if inner, ok := text.(map[string]any); ok {
		text, kind = inner["base64"], inner["subType"]
	}
	encoded, ok := text.(string)
	if !ok || kind != "04" && kind != "4" {
		return "", false
	}
	bytes, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", false
	}
	id, err := uuid.FromBytes(bytes)
	return id.String(), err == nil
}

// parseID returns a UUID in lower case with hyphens (RFC 9562). It returns any other id unchanged.
func parseID(value any) (string, bool) {
	const urn = "urn:uuid:"
	text, ok := parseText(value)
	text = strings.TrimSpace(text)
	plain := text
	if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") {
		plain = text[1 : len(text)-1]
	} else if len(text) > len(urn) && strings.EqualFold(text[:len(urn)], urn) {
		plain = text[len(urn):]
	}
	if id, err := uuid.Parse(plain); err == nil && (len(plain) == 36 || len(plain) == 32) {
		return id.String(), ok
	}
	return text, ok
}

// isEmpty reports whether a value is null, an empty text or an empty list.
func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	}
	return false
}

// parseText accepts numbers and booleans too, because an id may be the number 17.
func parseText(value any) (string, bool) {
	switch v := unwrapExtendedJSON(value).(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// parseBool accepts the spellings of JSON, SQL and Python, and yes, no, on, off.
func parseBool(value any) (is, ok bool) {
	text, ok := parseText(value)
	if !ok {
		return false, false
	}
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "t", "1", "yes", "y", "on":
		return true, true
	case "", "false", "f", "0", "no", "n", "off":
		return false, true
	}
	return false, false
}

// parseMark reads a boolean, or the time at which it became true. The numbers 0 and 1, even as 0.0 and 1.0, are
// booleans and not times.
func parseMark(value any) (Mark, bool) {
	if is, ok := parseBool(value); ok {
		return Mark{Set: is}, true
	}
	if text, ok := parseText(value); ok {
		if n, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil && (n == 0 || n == 1) {
			return Mark{Set: n == 1}, true
		}
	}
	at, ok := parseTime(value)
	return Mark{Set: ok && !at.IsZero(), At: at}, ok
}

// timeLayouts are those of databases and of ECMAScript. A time without a zone is UTC. time.Parse also accepts a
// fraction of a second with each of them.
var timeLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05 Z0700 MST", "2006-01-02 " +
		"15:04:05", "2006-01-02",
	// Rails, SQL Server
	"2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 Z0700", "2006-01-02 15:04:05 Z07", "2006-01-02 15:04:05 " +
		"UTC", "2006-01-02 15:04:05 GMT",
	"Mon, 02 Jan 2006 15:04:05 UTC Z07:00", "Mon, 02 Jan 2006 15:04:05 GMT", time.RFC1123Z, "Mon Jan _2 15:04:05 " +
		"2006", "2006-01-02T15:04Z07:00", "2006-01-02 15:04",
	"Mon Jan 02 2006 15:04:05 GMT-0700",           // ECMAScript, without the name of the zone
	"Jan _2 2006  3:04PM", "Jan _2 2006 15:04:05", // SQL Server
	"20060102150405Z", "20060102150405.0Z", // LDAP
}

// parseTime returns the zero time for an empty value, for 0 and for the zero dates of databases.
func parseTime(value any) (time.Time, bool) {
	text, ok := parseText(value)
	text = strings.TrimSpace(text)
	if !ok || text == "" || isZeroDate(text) {
		return time.Time{}, ok
	}
	text, _, _ = strings.Cut(text, " (") // ECMAScript appends the name of the zone
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return parseNumericDate(text, n)
	}
	text = strings.Join(strings.Fields(text), " ")
	for _, layout := range timeLayouts {
		if t, err := time.Parse(strings.ReplaceAll(layout, "  ", " "), text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// isZeroDate reports whether a date is the zero value of MySQL or .NET.
func isZeroDate(text string) bool {
	return strings.HasPrefix(text, "0000-00-00") || strings.HasPrefix(text, "0001-01-01")
}

// nullSpellings are those of database clients. They mean null in every field.
var nullSpellings = []string{"NULL", "null", `\N`, "(null)", "<null>", "[NULL]"}

// replaceNulls replaces nullSpellings with nil, even in nested values.
func replaceNulls(value any) any {
	switch v := value.(type) {
	case string:
		if slices.Contains(nullSpellings, v) {
			return nil
		}
	case map[string]any:
		for name, inner := range v {
			v[name] = replaceNulls(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = replaceNulls(inner)
		}
	}
	return value
}

// minMilliseconds distinguishes milliseconds since 1970 from seconds: a smaller number counts as seconds, any other
// as milliseconds. This number means a date in 1973 if read as milliseconds, and a date in the year 5138 if read as
// seconds.
const minMilliseconds = 100_000_000_000

// A number is a date only between these years. The numbers 2 and 2021 are therefore not read as seconds since 1970.
var (
	firstYear = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	lastYear  = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// parseNumericDate reads seconds or milliseconds since 1970, or a day such as 20210304. As seconds, such a day would
// be a date before 1990. The number 0 is the zero time.
func parseNumericDate(text string, n float64) (time.Time, bool) {
	if day, err := time.Parse("20060102", text); err == nil && !day.Before(firstYear) && day.Year() <= 2100 {
		return day, true
	}
	if n == 0 {
		return time.Time{}, true
	}
	if n < minMilliseconds {
		n *= 1000
	}
	if n >= float64(firstYear.UnixMilli()) && n < float64(lastYear.UnixMilli()) { // false for NaN
		return time.UnixMilli(int64(math.Round(n))).UTC(), true
	}
	return time.Time{}, false
}

// parseRoles reads a list of names, a list of objects with a name, or a text with commas. It returns roles in lower
// case. problem is empty if the value could be read.
func parseRoles(value any) (roles []string, problem string) {
	switch v := unwrapExtendedJSON(value).(type) {
	case nil:
		return nil, ""
	case string:
		return rolesOfText(v)
	case []any:
		for _, each := range v {
			name, problem := parseRole(each)
			if problem != "" {
				return nil, problem
			}
			roles = append(roles, name)
		}
		return roles, ""
	}
	return nil, notRoles
}

func rolesOfText(text string) (roles []string, problem string) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") {
		var list []any
		if json.Unmarshal([]byte(text), &list) != nil {
			return nil, notRoles
		}
		return parseRoles(list)
	}
	if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") { // a PostgreSQL array
		text = text[1 : len(text)-1]
	}
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(",;|", r) }) {
		if part = strings.Trim(strings.TrimSpace(part), `"`); part != "" {
			roles = append(roles, strings.ToLower(part))
		}
	}
	return roles, ""
}

func parseRole(value any) (name, problem string) {
	object, ok := value.(map[string]any)
	if ok && object["$oid"] != nil {
		return "", onlyRefs
	}
	if ok && object["name"] != nil {
		value = object["name"]
	}
	text, ok := value.(string)
	if !ok {
		return "", notRoles
	}
	if strings.HasPrefix(text, "ObjectId(") {
		return "", onlyRefs
	}
	return strings.ToLower(strings.TrimSpace(text)), ""
}

// currentKeycloakPassword reads the credentials of a Keycloak user. It skips earlier passwords (password-history).
func currentKeycloakPassword(value any) (found *Keycloak, temporary bool) {
	list, _ := value.([]any)
	for _, each := range list {
		credential, _ := each.(map[string]any)
		if credential["type"] != "password" {
			continue
		}
		data, _ := credential["credentialData"].(string)
		secret, _ := credential["secretData"].(string)
		_, plain := credential["value"].(string)
		if hash, ok := credential["hashedSaltedValue"].(string); ok && secret == "" { // of Keycloak 6 or older
			data = jsonText(map[string]any{"algorithm": credential["algorithm"], "hashIterations": credential["hashIterations"]})
			secret = jsonText(map[string]any{"value": hash, "salt": credential["salt"]})
			plain = false
		}
		temporary, _ := credential["temporary"].(bool)
		return &Keycloak{CredentialData: data, SecretData: secret, Plain: plain && secret == ""}, temporary
	}
	return nil, false
}

func jsonText(object map[string]any) string {
	text, err := json.Marshal(object)
	if err != nil {
		return "" // can't happen: the values were decoded from JSON
	}
	return string(text)
}
