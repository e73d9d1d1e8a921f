-- +goose Up
-- Accounts at external providers. (issuer, subject) names one; email is for display only.
CREATE TABLE identities (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL,
    provider     TEXT NOT NULL,
    issuer       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    email        TEXT NOT NULL,
    linked_at    BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX identities_by_subject ON identities (issuer, subject);
CREATE INDEX identities_by_user ON identities (user_id);
