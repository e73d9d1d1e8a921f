-- +goose Up
-- Failed sign-ins of the same account, client network and hour share one row.
ALTER TABLE events ADD COLUMN times INTEGER NOT NULL DEFAULT 1;
