package server

import (
	"slices"
	"time"

	"github.com/watchword-auth/watchword/internal/device"
)

// The account page lists devices and events. Equal entries are merged, and only the first entries are visible at
// once. The rest is in a <details> element. Each session can be ended separately.

// visibleRows is how many entries of a list are visible before "show more". A list of this length
// fits a phone without much scrolling.
const visibleRows = 5

// An accountDevice is a row of the list of devices: the sessions with the same device name and network address. A
// session from another address has its own row, because it may be a stranger's.
type accountDevice struct {
	Name, Icon, Address string
	Used                time.Time // latest use of any of the sessions
	Current             bool      // the row has only the session of this browser
	Sessions            []accountSession
}

// Only returns the session of a row that has exactly one. The template does not call it for other rows.
func (d accountDevice) Only() accountSession { return d.Sessions[0] }

// Folded returns the sessions of a row that has several, or nil.
func (d accountDevice) Folded() []accountSession {
	if len(d.Sessions) < 2 {
		return nil
	}
	return d.Sessions
}

// groupByDevice puts sessions with the same device and address into one row. The current session comes first, and the
// other rows keep their order.
func groupByDevice(sessions []accountSession) (rows []accountDevice) {
	for _, one := range sessions {
		i := slices.IndexFunc(rows, func(row accountDevice) bool {
			return !row.Current && !one.Current && row.Name == one.Device && row.Address == one.Address
		})
		if i < 0 {
			rows = append(rows, accountDevice{Name: one.Device, Icon: deviceIcon(one.Device), Address: one.Address,
				Current: one.Current})
			i = len(rows) - 1
		}
		row := &rows[i]
		row.Sessions = append(row.Sessions, one)
		if one.Used.After(row.Used) {
			row.Used = one.Used
		}
	}
	if i := slices.IndexFunc(rows, func(row accountDevice) bool { return row.Current }); i > 0 {
		current := rows[i]
		rows = slices.Insert(slices.Delete(rows, i, i+1), 0, current)
	}
	return rows
}

// mergeEqualEvents merges only consecutive events, because the order matters: wrong passwords before a sign-in differ
// from wrong passwords after it. The newest events come first, and a merged event has the newest time.
func mergeEqualEvents(events []accountEvent) (rows []accountEvent) {
	for _, one := range events {
		one.Times = max(one.Times, 1)
		if n := len(rows); n > 0 {
			last := &rows[n-1]
			if last.Kind == one.Kind && last.Device == one.Device && last.Address == one.Address {
				last.Times += one.Times
				continue
			}
		}
		rows = append(rows, one)
	}
	return rows
}

// Icon returns the icon of the event's device.
func (e accountEvent) Icon() string { return deviceIcon(e.Device) }

// Device returns the name of a device in the reader's language.
func (v *view) Device(name string) string { return device.Translate(name, v.T) }

// Factor translates the default name of a factor. A name that the user has chosen stays as it is.
func (v *view) Factor(name string) string { return device.TranslateChosen(name, v.T) }

// deviceIcon accepts a device name of package device, such as "Chrome on Windows". A name without an operating system
// belongs to a program, such as curl.
func deviceIcon(name string) string {
	_, system, found := device.Parts(name)
	if !found {
		system = name
	}
	switch system {
	case "iPhone", "Android":
		return "phone"
	case "iPad":
		return "tablet"
	case "", device.Unknown:
		return "unknown"
	}
	systems := []string{"Windows", "macOS", "MacOS", "Linux", "ChromeOS", "FreeBSD", "OpenBSD"}
	if found || slices.Contains(systems, system) {
		return "computer"
	}
	return "program"
}

// splitVisible never hides a single entry, because it is not worth a click.
func splitVisible[T any](all []T) (visible, more []T) {
	if len(all) <= visibleRows+1 {
		return all, nil
	}
	return all[:visibleRows], all[visibleRows:]
}

// A templateRow is one entry of a list together with the view. A nested template needs both, but gets only one value.
type templateRow struct {
	*view
	Item any
}

// Row returns an entry for a nested template.
func (v *view) Row(item any) templateRow { return templateRow{v, item} }
