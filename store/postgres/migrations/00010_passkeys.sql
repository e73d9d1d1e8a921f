-- +goose Up
-- unproven: a passkey that a sign-in does not ask for, before its first use with verification.
ALTER TABLE factors ADD COLUMN unproven INTEGER NOT NULL DEFAULT 0;
