-- +goose Up
-- Sign-ups whose address is not proven yet (signup=verified). The unique slot limits the sign-ups of
-- an address, even if several are inserted at the same time.
CREATE TABLE signups (
    email      TEXT NOT NULL,
    slot       INTEGER NOT NULL,
    id         TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sealed     BYTEA NOT NULL,
    PRIMARY KEY (email, slot)
);
CREATE INDEX signups_by_age ON signups (created_at);

-- The sign-up whose verification link contains this token; empty: none.
ALTER TABLE mail_tokens ADD COLUMN signup_id TEXT NOT NULL DEFAULT '';
