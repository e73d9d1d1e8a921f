-- +goose Up
-- The operator of an event, and the events of one request.
ALTER TABLE events ADD COLUMN operator TEXT NOT NULL DEFAULT '';
CREATE INDEX events_by_request ON events (request_id) WHERE request_id <> '';

-- Accounts are found by a prefix of their address. Addresses that begin alike are adjacent only in
-- the order of their bytes. SQLite has this order under the same name, so both run one statement.
CREATE COLLATION "binary" (provider = libc, locale = 'C');
CREATE INDEX users_by_address ON users (email COLLATE "binary");
