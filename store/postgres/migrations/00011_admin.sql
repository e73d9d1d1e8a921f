-- +goose Up
-- The roles of accounts, beside users.roles, to find accounts by role. The transaction that changes one changes the other.
CREATE TABLE user_roles (
    user_id TEXT NOT NULL,
    role    TEXT NOT NULL,
    PRIMARY KEY (role, user_id)
);
CREATE INDEX user_roles_by_user ON user_roles (user_id);
INSERT INTO user_roles (user_id, role) SELECT users.id, roles.value FROM users, json_array_elements_text(users.roles::json) AS roles (value);

-- Credentials of programs. A row holds no secret: the key is computed from the id.
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

-- JSON objects of accounts. public is for the user to read, private for operators only.
CREATE TABLE user_metadata (
    user_id TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    public  TEXT NOT NULL,
    private TEXT NOT NULL
);
