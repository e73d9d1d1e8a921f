// Package mailretry decides when a mail is sent again, and whether a mail with a link is still needed. It does not
// read accounts: callers pass the facts.
package mailretry

import "time"

// waits are the waits after each failed attempt, counted from its start. Together they are about 27 hours.
var waits = []time.Duration{
	10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
	2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour,
}

// After returns how long to wait after a number of failed attempts, and false if there are no more retries.
func After(attempts int) (time.Duration, bool) {
	if attempts < 1 || attempts > len(waits) {
		return 0, false
	}
	return waits[attempts-1], true
}

// unsent is the maximum time for which a link works before its mail is known to be sent.
const unsent = 5 * time.Minute

// UnsentLife returns how long a link is valid while its mail is not yet sent.
func UnsentLife(life time.Duration) time.Duration { return min(unsent, life/3) }

// SentSince returns a time. An earlier link that expires after it makes a mail unnecessary: the link was sent and
// remains valid for some minutes. For a retry, the earlier link must also be newer than the request.
func SentSince(attempts int, requested time.Time, life time.Duration, now time.Time) time.Time {
	since := now.Add(UnsentLife(life))
	if renewed := requested.Add(life); attempts > 1 && renewed.After(since) {
		return renewed
	}
	return since
}

// LinkDue decides whether a mail with a new link is sent. within: the budget for mails to the address allows it, or
// the mail needs none. needed: the owner must have a working link, even above the budget. works: an earlier link makes
// the mail unnecessary (SentSince).
//
// While the mail server is unavailable, retries accumulate. One new link is then enough.
func LinkDue(attempts int, within, needed, works bool) bool {
	if attempts == 1 && within {
		return true
	}
	return (attempts > 1 || needed) && !works
}
