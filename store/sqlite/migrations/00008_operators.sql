-- +goose Up
-- The operator of an event, and the events of one request.
ALTER TABLE events ADD COLUMN operator TEXT NOT NULL DEFAULT '';
CREATE INDEX events_by_request ON events (request_id) WHERE request_id <> '';
