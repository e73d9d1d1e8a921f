package sqlstore

import (
	"context"

	"github.com/watchword-auth/watchword"
)

func eventRow(e *watchword.Event) []column {
	return []column{
		{"id", &e.ID},
		{"kind", &e.Kind},
		{"at", timeColumn{&e.At}},
		{"user_id", &e.UserID},
		{"session_id", &e.SessionID},
		{"address", &e.Address},
		{"device", &e.Device},
		{"request_id", &e.RequestID},
		{"detail", &e.Detail},
		{"times", &e.Times},
		{"operator", &e.Operator},
	}
}

var (
	eventColumns = selectList("events", eventRow(new(watchword.Event)))

	// insertEvent stores repeated failed sign-ins in one row. Repetitions have the same id, so the statement adds to
	// the count of the existing row. It keeps the later of the two times, because a later event may be committed
	// first.
	insertEvent = insertInto("events", eventRow(new(watchword.Event)), `VALUES (%s)
		ON CONFLICT (id) DO UPDATE SET times = events.times + excluded.times,
			at = CASE WHEN events.at > excluded.at THEN events.at ELSE excluded.at END,
			address = excluded.address, device = excluded.device, request_id = excluded.request_id`)
	// selectEvents sorts by time and then by id, so that events of the same millisecond have a fixed order.
	selectEvents = `SELECT ` + eventColumns + ` FROM events WHERE user_id = $1
		ORDER BY at DESC, id DESC LIMIT $2`
	// selectLastEvent may read many rows if $1 is empty (events without an account), because failed sign-ins are
	// among them. This is acceptable, because only operators run it.
	selectLastEvent = `SELECT ` + eventColumns + ` FROM events WHERE user_id = $1 AND kind = $2
		ORDER BY at DESC, id DESC LIMIT 1`
	// request_id <> '' is the condition of the partial index. Both databases use the index only
	// if the query repeats the condition.
	selectRequestEvents = `SELECT ` + eventColumns + ` FROM events WHERE request_id = $1 AND request_id <> ''
		ORDER BY at DESC, id DESC LIMIT $2`
)

// InsertEvent stores an event. If Times is 0, it stores 1.
func (t Tx) InsertEvent(ctx context.Context, e watchword.Event) error {
	e.Times = max(e.Times, 1)
	_, err := t.exec(ctx, insertEvent, insertArgs(eventRow(&e))...)
	return err
}

func (t Tx) Events(ctx context.Context, id watchword.UserID, limit int) ([]watchword.Event, error) {
	return queryRows(ctx, t, scanEvent, selectEvents, id, limit)
}

func (t Tx) LastEvent(ctx context.Context, id watchword.UserID, kind watchword.EventKind) (watchword.Event, error) {
	return queryRow(ctx, t, scanEvent, selectLastEvent, id, kind)
}

func (t Tx) RequestEvents(ctx context.Context, request string, limit int) ([]watchword.Event, error) {
	return queryRows(ctx, t, scanEvent, selectRequestEvents, request, limit)
}

func scanEvent(s rowScanner) (e watchword.Event, err error) {
	return e, s.Scan(scanTargets(eventRow(&e))...)
}
