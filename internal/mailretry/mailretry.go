// Package mailretry decides when a mail is sent again, and whether a mail with a link is still needed. It does not
// read accounts or mails: callers pass the data.
package mailretry

import "time"

// retryWaits contains how long to wait after each failed attempt to send a mail, measured from the start of the
// attempt. Together the waits are about 27 hours.
var retryWaits = []time.Duration{
	10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
	2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour,
}

// After returns how long to wait after the given number of failed attempts. It returns false if there are no more
// retries.
func After(attempts int) (time.Duration, bool) {
	if attempts < 1 || attempts > len(retryWaits) {
		return 0, false
	}
	return retryWaits[attempts-1], true
}

// maxUnsentLifetime bounds the lifetime of a link before the server knows that its mail was sent.
const maxUnsentLifetime = 5 * time.Minute

// UnsentLife returns how long a link is valid before the server knows that its mail was sent. The caller passes how
// long the link is valid after the server knows this.
func UnsentLife(life time.Duration) time.Duration { return min(maxUnsentLifetime, life/3) }

// SentSince returns a time: an earlier link that expires after this time makes a new mail unnecessary, because the
// mail of the earlier link was sent. A link whose mail is not known to be sent expires sooner, because its lifetime
// is short (UnsentLife). For a retry, the earlier link must also be newer than the request.
func SentSince(attempts int, requested time.Time, life time.Duration, now time.Time) time.Time {
	since := now.Add(UnsentLife(life))
	if renewed := requested.Add(life); attempts > 1 && renewed.After(since) {
		return renewed
	}
	return since
}

// LinkDue reports whether to send a mail with a new link.
//
//   - withinLimit: the rate limit for mails to the address allows this mail, or does not apply to it.
//   - linkNeeded: the owner must have a valid link, even if the rate limit is exceeded.
//   - earlierLinkWorks: an earlier link makes the mail unnecessary (SentSince).
//
// A first attempt within the rate limit is always due. A retry is due only if no earlier link works. Retries
// accumulate while the mail server is unavailable, and one new link is enough for all of them.
func LinkDue(attempts int, withinLimit, linkNeeded, earlierLinkWorks bool) bool {
	if attempts == 1 && withinLimit {
		return true
	}
	return (attempts > 1 || linkNeeded) && !earlierLinkWorks
}
