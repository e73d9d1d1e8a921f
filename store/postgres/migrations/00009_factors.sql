-- +goose Up
-- Second factors of accounts. The column sealed is the secret of an authenticator app. The column record
-- is the public key of a passkey.
CREATE TABLE factors (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL,
    kind          TEXT NOT NULL,
    name          TEXT NOT NULL,
    sealed        BYTEA NOT NULL,
    credential_id TEXT NOT NULL,
    record        TEXT NOT NULL,
    counter       BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    last_used_at  BIGINT NOT NULL
);
CREATE INDEX factors_by_user ON factors (user_id, kind);
CREATE UNIQUE INDEX factors_by_credential ON factors (credential_id) WHERE credential_id <> '';

CREATE TABLE recovery_codes (
    user_id    TEXT NOT NULL,
    hash       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, hash)
);

-- Unfinished sign-ins, and unfinished ceremonies of passkeys. Each challenge is for one purpose.
CREATE TABLE challenges (
    id                 TEXT PRIMARY KEY,
    purpose            TEXT NOT NULL,
    user_id            TEXT NOT NULL,
    session_id         TEXT NOT NULL,
    factors_changed_at BIGINT NOT NULL,
    sealed             BYTEA NOT NULL,
    attempts           INTEGER NOT NULL,
    created_at         BIGINT NOT NULL,
    expires_at         BIGINT NOT NULL
);
CREATE INDEX challenges_expiring ON challenges (expires_at);
CREATE INDEX challenges_by_user ON challenges (user_id);

-- Browsers that skip the second factor.
CREATE TABLE devices (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL,
    name         TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX devices_by_user ON devices (user_id);
CREATE INDEX devices_expiring ON devices (expires_at);

-- The number of factors that a sign-in asks for.
ALTER TABLE users ADD COLUMN factors INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN factors_changed_at BIGINT NOT NULL DEFAULT 0;
