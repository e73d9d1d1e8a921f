-- +goose Up
-- Failed sign-ins of one account, client network and hour are one row.
ALTER TABLE events ADD COLUMN times INTEGER NOT NULL DEFAULT 1;
