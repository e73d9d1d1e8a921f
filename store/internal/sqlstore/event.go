package sqlstore

import (
	"context"

	"github.com/watchword-auth/watchword"
)

// eventRow lists the columns of an event.
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
	eventColumns = names("events", eventRow(new(watchword.Event)))

	// insertEvent counts repetitions in one row: repeated failed sign-ins have the same id, so
	// concurrent inserts add up. The later time wins, because transactions may commit in a
	// different order from their events.
	insertEvent = insertInto("events", eventRow(new(watchword.Event)), `VALUES (%s)
		ON CONFLICT (id) DO UPDATE SET times = events.times + excluded.times,
			at = CASE WHEN events.at > excluded.at THEN events.at ELSE excluded.at END,
			address = excluded.address, device = excluded.device, request_id = excluded.request_id`)
	// The id breaks ties between events of the same millisecond.
	selectEvents = `SELECT ` + eventColumns + ` FROM events WHERE user_id = $1
		ORDER BY at DESC, id DESC LIMIT $2`
	// Events without an account include floods of failed sign-ins, so this query may read many rows. Only
	// operators run it.
	selectLastEvent = `SELECT ` + eventColumns + ` FROM events WHERE user_id = $1 AND kind = $2
		ORDER BY at DESC, id DESC LIMIT 1`
	// request_id <> '' is the condition of the partial index. Both databases use the index only
	// if the query repeats the condition.
	selectRequestEvents = `SELECT ` + eventColumns + ` FROM events WHERE request_id = $1 AND request_id <> ''
		ORDER BY at DESC, id DESC LIMIT $2`
)

// InsertEvent counts an event without Times as one.
func (t Tx) InsertEvent(ctx context.Context, e watchword.Event) error {
	e.Times = max(e.Times, 1)
	_, err := t.exec(ctx, insertEvent, values(eventRow(&e))...)
	return err
}

func (t Tx) Events(ctx context.Context, id watchword.UserID, limit int) ([]watchword.Event, error) {
	return rows(ctx, t, scanEvent, selectEvents, id, limit)
}

func (t Tx) LastEvent(ctx context.Context, id watchword.UserID, kind watchword.EventKind) (watchword.Event, error) {
	return row(ctx, t, scanEvent, selectLastEvent, id, kind)
}

func (t Tx) RequestEvents(ctx context.Context, request string, limit int) ([]watchword.Event, error) {
	return rows(ctx, t, scanEvent, selectRequestEvents, request, limit)
}

func scanEvent(s scanner) (e watchword.Event, err error) {
	return e, s.Scan(fields(eventRow(&e))...)
}
