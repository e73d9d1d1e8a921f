-- +goose Up
-- Calls of an embedding program that are due. The row of a sign-up is written with the account.
-- The row of an ended session is written later, and only for programs that ask for it.
CREATE TABLE callbacks (
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    attempts   INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX callbacks_due ON callbacks (kind, next_at);
CREATE INDEX callbacks_by_age ON callbacks (created_at);

-- Ended sessions have rows in callbacks up to this number of the feed, and sessions that
-- nobody ended up to this expires_at.
ALTER TABLE feed ADD COLUMN queued_ended BIGINT NOT NULL DEFAULT 0;
ALTER TABLE feed ADD COLUMN queued_expired BIGINT NOT NULL DEFAULT 0;
