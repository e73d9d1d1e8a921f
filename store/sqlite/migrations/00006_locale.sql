-- +goose Up
-- The language of the user's mails and pages, as BCP 47.
ALTER TABLE users ADD COLUMN locale TEXT NOT NULL DEFAULT '';
