-- +goose Up
-- The feed number of an ended session is assigned after its commit, so numbers follow the order of
-- commits (docs/revocation.md). 0: not assigned yet. A rotation does not change feed_number.
ALTER TABLE sessions ADD COLUMN feed_number BIGINT NOT NULL DEFAULT 0;
CREATE INDEX sessions_feed ON sessions (feed_number, ended_at) WHERE ended_at > 0;

ALTER TABLE users ADD COLUMN feed_number BIGINT NOT NULL DEFAULT 0;
CREATE INDEX users_feed ON users (feed_number, roles_changed_at) WHERE roles_changed_at > 0;

CREATE TABLE feed (
    id   INTEGER PRIMARY KEY,
    last BIGINT NOT NULL
);
INSERT INTO feed (id, last) VALUES (1, 0);
