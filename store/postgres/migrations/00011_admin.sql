-- +goose Up
-- The roles of accounts, to find accounts by role. users.roles has the same roles, and every transaction
-- changes both.
CREATE TABLE user_roles (
    user_id TEXT NOT NULL,
    role    TEXT NOT NULL,
    PRIMARY KEY (role, user_id)
);
CREATE INDEX user_roles_by_user ON user_roles (user_id);
INSERT INTO user_roles (user_id, role) SELECT users.id, roles.value FROM users, json_array_elements_text(users.roles::json) AS roles (value);

-- Credentials of programs. A row does not contain the secret key: the server computes the key from the id.
CREATE TABLE service_keys (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL
);

-- Results of requests with an Idempotency-Key.
CREATE TABLE idempotency (
    owner        TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    status       INTEGER NOT NULL,
    result_id    TEXT NOT NULL,
    expires_at   BIGINT NOT NULL,
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_expiring ON idempotency (expires_at);

-- JSON objects of accounts. Users can read the object public. Only operators can read the object private.
CREATE TABLE user_metadata (
    user_id TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    public  TEXT NOT NULL,
    private TEXT NOT NULL
);
