package sqlstore

import (
	"context"

	"github.com/watchword-auth/watchword"
)

const (
	eventColumns = `id, kind, at, user_id, session_id, address, device, request_id, detail, times`
	insertEvent  = `INSERT INTO events (` + eventColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET times = events.times + excluded.times,
			at = CASE WHEN events.at > excluded.at THEN events.at ELSE excluded.at END,
			address = excluded.address, device = excluded.device, request_id = excluded.request_id`
	selectEvents = `SELECT ` + eventColumns + ` FROM events WHERE user_id = $1 ORDER BY at DESC, id DESC LIMIT $2`
)

func (t Tx) InsertEvent(ctx context.Context, e watchword.Event) error {
	_, err := t.exec(ctx, insertEvent, e.ID, e.Kind, ms(e.At), e.UserID, e.SessionID, e.Address, e.Device, e.RequestID, e.Detail, max(e.Times, 1))
	return err
}

func (t Tx) Events(ctx context.Context, id watchword.UserID, limit int) ([]watchword.Event, error) {
	return rows(ctx, t, func(s scanner) (e watchword.Event, err error) {
		return e, s.Scan(&e.ID, &e.Kind, moment{&e.At}, &e.UserID, &e.SessionID, &e.Address, &e.Device, &e.RequestID, &e.Detail, &e.Times)
	}, selectEvents, id, limit)
}
