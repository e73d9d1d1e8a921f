-- +goose Up
-- Callbacks that the embedding program must still receive. The row for a sign-up is inserted with the
-- account. The row for an ended session is inserted later, and only if the program sets this callback.
CREATE TABLE callbacks (
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    attempts   INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX callbacks_due ON callbacks (kind, next_at);
CREATE INDEX callbacks_by_age ON callbacks (created_at);

-- For ended sessions, callbacks has rows up to the feed number queued_ended. For expired sessions, it has rows up to
-- the expires_at queued_expired.
ALTER TABLE feed ADD COLUMN queued_ended BIGINT NOT NULL DEFAULT 0;
ALTER TABLE feed ADD COLUMN queued_expired BIGINT NOT NULL DEFAULT 0;
