-- +goose Up
-- 1: a passkey from an automatic upgrade that was never used with user verification. A sign-in does not
-- ask for it yet.
ALTER TABLE factors ADD COLUMN unproven INTEGER NOT NULL DEFAULT 0;
