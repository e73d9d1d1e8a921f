-- +goose Up
-- What ended is numbered afterwards, in the order of commits (docs/revocation.md).
-- 0: not numbered yet. A rotation changes none of these columns.
ALTER TABLE sessions ADD COLUMN feed_number BIGINT NOT NULL DEFAULT 0;
CREATE INDEX sessions_feed ON sessions (feed_number, ended_at) WHERE ended_at > 0;

ALTER TABLE users ADD COLUMN feed_number BIGINT NOT NULL DEFAULT 0;
CREATE INDEX users_feed ON users (feed_number, roles_changed_at) WHERE roles_changed_at > 0;

CREATE TABLE feed (
    id   INTEGER PRIMARY KEY,
    last BIGINT NOT NULL
);
INSERT INTO feed (id, last) VALUES (1, 0);
