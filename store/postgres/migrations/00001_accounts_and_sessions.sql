-- +goose Up
CREATE TABLE users (
    id               TEXT PRIMARY KEY,
    email            TEXT NOT NULL UNIQUE,
    verified_at      BIGINT NOT NULL,
    name             TEXT NOT NULL,
    roles            TEXT NOT NULL,
    password_hash    TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    disabled_at      BIGINT NOT NULL,
    roles_changed_at BIGINT NOT NULL
);

CREATE TABLE sessions (
    id               TEXT PRIMARY KEY,
    user_id          TEXT NOT NULL,
    generation       BIGINT NOT NULL,
    superseded       TEXT NOT NULL,
    forgiven         BIGINT NOT NULL,
    rotated_at       BIGINT NOT NULL,
    rotated_by       TEXT NOT NULL,
    refresh_key      INTEGER NOT NULL,
    persistent       INTEGER NOT NULL,
    device           TEXT NOT NULL,
    address          TEXT NOT NULL,
    authenticated_at BIGINT NOT NULL,
    methods          TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    ended_at         BIGINT NOT NULL,
    ended_why        TEXT NOT NULL
) WITH (fillfactor = 70);
-- No index holds a column that a rotation changes.
CREATE INDEX sessions_by_user ON sessions (user_id, created_at);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at > 0;
CREATE INDEX sessions_expiring ON sessions (expires_at);

CREATE TABLE mail_tokens (
    hash       TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    email      TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX mail_tokens_by_user ON mail_tokens (user_id, kind);
CREATE INDEX mail_tokens_by_email ON mail_tokens (email, kind);
CREATE INDEX mail_tokens_expiring ON mail_tokens (expires_at);

CREATE TABLE mails (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    recipient   TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    facts       TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    next_at     BIGINT NOT NULL,
    attempts    INTEGER NOT NULL,
    last_error  TEXT NOT NULL,
    given_up_at BIGINT NOT NULL
);
CREATE INDEX mails_due ON mails (next_at) WHERE given_up_at = 0;
CREATE INDEX mails_by_user ON mails (user_id);

CREATE TABLE events (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    at         BIGINT NOT NULL,
    user_id    TEXT NOT NULL,
    session_id TEXT NOT NULL,
    address    TEXT NOT NULL,
    device     TEXT NOT NULL,
    request_id TEXT NOT NULL,
    detail     TEXT NOT NULL
);
CREATE INDEX events_by_user ON events (user_id, at);
CREATE INDEX events_by_age ON events (at);

CREATE TABLE keys (
    id           TEXT PRIMARY KEY,
    purpose      TEXT NOT NULL,
    alg          TEXT NOT NULL,
    number       INTEGER NOT NULL,
    sealed       BYTEA NOT NULL,
    published_at BIGINT NOT NULL,
    active_from  BIGINT NOT NULL,
    drop_at      BIGINT NOT NULL,
    UNIQUE (purpose, number)
);

CREATE TABLE limits (
    key        TEXT PRIMARY KEY,
    tat        BIGINT NOT NULL,
    sweep_from BIGINT NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX limits_by_age ON limits (sweep_from);
