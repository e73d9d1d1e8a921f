-- +goose Up
-- A sign-up that waits for its address to be proven (signup=verified). The slot
-- bounds how many an address has, also under concurrency.
CREATE TABLE signups (
    email      TEXT NOT NULL,
    slot       INTEGER NOT NULL,
    id         TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sealed     BYTEA NOT NULL,
    PRIMARY KEY (email, slot)
);
CREATE INDEX signups_by_age ON signups (created_at);

-- The sign-up that a verification link was mailed for; empty: none.
ALTER TABLE mail_tokens ADD COLUMN signup_id TEXT NOT NULL DEFAULT '';
