package admin

import (
	"cmp"
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/clientip"
	"github.com/watchword-auth/watchword/internal/storable"
)

// Lists of events and mails. Both read a range of an index that begins after a position. The last page of a long list
// therefore costs the same as the first.

// An EventFilter selects events. The zero value selects all.
type EventFilter struct {
	User    watchword.UserID
	Kind    string
	Address string    // client IP in any form
	From    time.Time // inclusive; zero: the beginning
	To      time.Time // exclusive; zero: the end
}

// An EventPage is one page of events. A page with Next can have fewer items than the limit.
type EventPage struct {
	Items []watchword.Event
	Next  string
}

// An EventPosition is a place in the order of events, the newest first.
//
// Unstable: stores use it.
type EventPosition struct {
	At time.Time
	ID string
}

// cursorScope is the text that the MAC of a cursor covers, so a cursor works only with the same filter.
func (f EventFilter) cursorScope() string {
	return strings.Join([]string{"events", string(f.User), f.Kind, f.Address, strconv.FormatInt(f.From.UnixMilli(), 10),
		strconv.FormatInt(f.To.UnixMilli(), 10)}, "\x00")
}

func (f EventFilter) matchesKindAndAddress(e watchword.Event) bool {
	return (f.Kind == "" || string(e.Kind) == f.Kind) && (f.Address == "" || e.Address == f.Address)
}

// FindEvents returns the page after a cursor ("": the first page), the newest events first. It reads
// the events of a user, or of all, in a range of time, and filters them by kind and address. One
// request reads at most maxScanned events. A limit of 0 means DefaultLimit. Codes:
// CodeParameterInvalid.
func (m *Manager) FindEvents(ctx context.Context, f EventFilter, cursor string, limit int) (page EventPage, err error) {
	if f.User != "" && !storable.ID(string(f.User)) {
		return EventPage{}, nil
	}
	if f.Address != "" {
		address, err := netip.ParseAddr(f.Address)
		if err != nil {
			return EventPage{}, nil
		}
		f.Address = clientip.Text(address) // the form in which events store addresses
	}
	cursor, err = m.openCursor(f.cursorScope(), cursor)
	if err != nil {
		return EventPage{}, err
	}
	after := parseEventPosition(cursor, f.To)
	limit = min(cmp.Or(max(limit, 0), DefaultLimit), MaxLimit)
	size := scanBatch
	if f.Kind == "" && f.Address == "" {
		size = limit
	}
	for read := 0; read < maxScanned; {
		var batch []watchword.Event
		err := m.store.View(ctx, func(tx Tx) (err error) {
			batch, err = tx.EventsBefore(ctx, f.User, f.From, after, size)
			return err
		})
		if err != nil {
			return EventPage{}, err
		}
		for _, event := range batch {
			after = EventPosition{event.At, event.ID}
			if f.matchesKindAndAddress(event) {
				page.Items = append(page.Items, event)
			}
			if len(page.Items) == limit {
				page.Next = m.sealCursor(f.cursorScope(), after.text())
				return page, nil
			}
		}
		if read += len(batch); len(batch) < size {
			return page, nil
		}
	}
	page.Next = m.sealCursor(f.cursorScope(), after.text())
	return page, nil
}

// farFuture is later than every event, and the database can store it.
var farFuture = time.UnixMilli(1 << 50)

// parseEventPosition returns the position in a cursor, or the end of the range for an empty cursor. It does not check
// the format, because openCursor has verified the MAC.
func parseEventPosition(cursor string, to time.Time) EventPosition {
	if cursor == "" {
		if to.IsZero() {
			to = farFuture
		}
		return EventPosition{to, ""} // events at exactly this time are excluded, because their ids sort after ""
	}
	at, id, _ := strings.Cut(cursor, " ")
	millis, _ := strconv.ParseInt(at, 10, 64)
	return EventPosition{time.UnixMilli(millis), id}
}

func (p EventPosition) text() string { return strconv.FormatInt(p.At.UnixMilli(), 10) + " " + p.ID }

// FindMails lists waiting and abandoned mails, the oldest first, of one user or of all (""). A limit of 0
// means DefaultLimit. Codes: CodeParameterInvalid.
func (m *Manager) FindMails(
	ctx context.Context, user watchword.UserID, cursor string, limit int,
) (mails []watchword.Mail, next string, err error) {
	list := "mails\x00" + string(user)
	cursor, err = m.openCursor(list, cursor)
	if err != nil || (user != "" && !storable.ID(string(user))) {
		return nil, "", err
	}
	after := EventPosition{time.UnixMilli(0), ""}
	if cursor != "" {
		after = parseEventPosition(cursor, time.Time{})
	}
	limit = min(cmp.Or(max(limit, 0), DefaultLimit), MaxLimit)
	err = m.store.View(ctx, func(tx Tx) error {
		mails, err = tx.MailsAfter(ctx, user, after, limit+1)
		return err
	})
	if len(mails) > limit {
		mails = mails[:limit]
		next = m.sealCursor(list, EventPosition{mails[limit-1].CreatedAt, mails[limit-1].ID}.text())
	}
	return mails, next, err
}

// historyPeriod is how long History lists a session after its end. Some rows of ended sessions are stored for longer.
const historyPeriod = 7 * 24 * time.Hour

// History returns the sessions of an account that ended in the last 7 days, and its mails in the outbox. The sessions
// are sorted by last use, newest first. If the end of a session is not stored, as for an idle session, EndedAt and
// EndedWhy are computed as in Explain. Codes: CodeNotFound.
func (m *Manager) History(
	ctx context.Context, id watchword.UserID,
) (ended []watchword.Session, mails []watchword.Mail, err error) {
	account, err := m.User(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	c := m.newCase()
	c.User = &account.User
	err = m.store.View(ctx, func(tx Tx) error {
		if c.Sessions, err = tx.SessionsOf(ctx, id, explainedSessions); err != nil {
			return err
		}
		mails, err = tx.MailsAfter(ctx, id, EventPosition{}, MaxLimit)
		return err
	})
	for _, s := range c.Sessions {
		if e := c.endOfSession(s); e.reason != "" && c.Now.Sub(e.at) <= historyPeriod {
			s.EndedAt, s.EndedWhy = e.at, e.reason
			ended = append(ended, s)
		}
	}
	return ended, mails, err
}

// StatsCounted is the highest number that Stats counts to. A larger service can use the metrics instead.
const StatsCounted = 100_000

// Stats are the numbers on the overview of a server.
type Stats struct {
	Accounts int // up to StatsCounted
	Sessions int // live ones, up to StatsCounted
	Hours    []HourStats

	MailWaiting, MailGivenUp int // up to watchword.OutboxCounted
}

// HourStats count the events of one hour.
type HourStats struct {
	Hour                                     time.Time
	SignIns, FailedSignIns, Forgiven, Reuses int
}

// A KindCount is how often a kind of event occurred in one hour.
//
// Unstable: stores use it.
type KindCount struct {
	Kind  watchword.EventKind
	Hour  int64 // hours since 1970
	Times int
}

// Stats counts accounts, live sessions and the events of the last 24 hours, including the current
// hour. If there are more than StatsCounted events, it counts only the newest.
func (m *Manager) Stats(ctx context.Context) (s Stats, err error) {
	const hours = 24
	now := m.engine.Now()
	first := now.UTC().Truncate(time.Hour).Add(-(hours - 1) * time.Hour)
	var kinds []KindCount
	err = m.store.View(ctx, func(tx Tx) error {
		if s.Accounts, s.Sessions, err = tx.CountAccounts(ctx, m.engine.Cutoffs(now), StatsCounted); err != nil {
			return err
		}
		if s.MailWaiting, s.MailGivenUp, _, err = tx.Outbox(ctx); err != nil {
			return err
		}
		kinds, err = tx.CountEvents(ctx, first, StatsCounted)
		return err
	})
	if err != nil {
		return Stats{}, err
	}
	for i := range hours {
		s.Hours = append(s.Hours, HourStats{Hour: first.Add(time.Duration(i) * time.Hour)})
	}
	for _, k := range kinds {
		i := int(k.Hour - first.Unix()/3600)
		if i < 0 || i >= hours {
			continue // the clock of the process that stored the event is ahead
		}
		hour := &s.Hours[i]
		switch k.Kind {
		case watchword.EventLogin:
			hour.SignIns += k.Times
		case watchword.EventLoginFailed:
			hour.FailedSignIns += k.Times
		case watchword.EventLateForgiven:
			hour.Forgiven += k.Times
		case watchword.EventRefreshReused:
			hour.Reuses += k.Times
		}
	}
	return s, nil
}
