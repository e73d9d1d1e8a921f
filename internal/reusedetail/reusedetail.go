// Package reusedetail formats the detail of the event refresh_reused. The detail is JSON and describes two devices:
// the one that presented the old token, and the one that last refreshed the session. The package does not know the
// rules for sessions.
package reusedetail

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Detail describes a reuse for support staff: the old token that was presented, and its session.
type Detail struct {
	Presented  int64  `json:"presented"`            // generation of the presented token
	Newest     int64  `json:"newest"`               // newest generation of the session
	Rule       string `json:"rule"`                 // why the token counts as reused
	Superseded string `json:"superseded,omitempty"` // how long ago the token was replaced, such as 2h5m; empty: unknown
	From       Party  `json:"from"`                 // the client that presented the token
	Session    Party  `json:"session"`              // the device of the session, at its last refresh
}

// A Party is a device that held a token. Empty fields are unknown.
type Party struct {
	Device  string `json:"device"`
	Address string `json:"address"`
}

// Since returns the time from replacedAt to now in the form of Detail.Superseded, or "" if replacedAt is zero.
func Since(replacedAt, now time.Time) string {
	if replacedAt.IsZero() {
		return ""
	}
	return now.Sub(replacedAt).Round(time.Millisecond).String()
}

// String returns the detail as one line of JSON.
func (d Detail) String() string {
	text, err := json.Marshal(d)
	if err != nil {
		return ""
	}
	return string(text)
}

// Words returns the detail as a short text for a table.
func (d Detail) Words() string {
	text := fmt.Sprintf("generation %d of %d", d.Presented, d.Newest)
	if d.Superseded != "" {
		text += ", replaced " + d.Superseded + " before"
	}
	return text + ", " + d.Rule + "; session of " + d.Session.Device + " (" + d.Session.Address + ")"
}

// Parse reads a stored detail, in JSON or in the text format of earlier releases. For that text format, From is
// empty, because the event itself names the client that presented the token. Parse returns false for any text in
// another format.
func Parse(text string) (d Detail, ok bool) {
	if strings.HasPrefix(text, "{") {
		return d, json.Unmarshal([]byte(text), &d) == nil && d.Newest > 0
	}
	var superseded, address string
	head, device, found := strings.Cut(text, " session_device=")
	_, err := fmt.Sscanf(head, "presented=%d newest=%d rule=%s superseded=%s session_address=%s",
		&d.Presented, &d.Newest, &d.Rule, &superseded, &address)
	if err != nil || !found {
		return Detail{}, false
	}
	if d.Session.Device, err = strconv.Unquote(device); err != nil {
		return Detail{}, false
	}
	if superseded != "unknown" {
		d.Superseded = strings.TrimSuffix(superseded, "_ago")
	}
	if address != "unknown" {
		d.Session.Address = address
	}
	return d, true
}
