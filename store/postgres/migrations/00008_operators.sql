-- +goose Up
-- The operator of an event, and the events of one request.
ALTER TABLE events ADD COLUMN operator TEXT NOT NULL DEFAULT '';
CREATE INDEX events_by_request ON events (request_id) WHERE request_id <> '';

-- Operators find accounts by a prefix of the address. Such addresses are adjacent only if they are sorted by bytes.
-- SQLite has this collation under the same name, so both databases run the same statement.
CREATE COLLATION "binary" (provider = libc, locale = 'C');
CREATE INDEX users_by_address ON users (email COLLATE "binary");
