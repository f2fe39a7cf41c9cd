-- Every Matrix user this server has heard of, with or without an account here.
CREATE TABLE matrix_user (
    nid {identity},
    user_id TEXT NOT NULL UNIQUE
) {strict};

-- Accounts on this server. No password: only tokens get in. Deactivated ones stay, so that nobody
-- can take their names.
CREATE TABLE account (
    nid BIGINT NOT NULL PRIMARY KEY,
    password_hash TEXT,
    is_admin BIGINT NOT NULL CHECK (is_admin IN (0, 1)),
    created_ms BIGINT NOT NULL,
    deactivated_ms BIGINT
) {strict};

CREATE TABLE device (
    nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    display_name TEXT,
    created_ms BIGINT NOT NULL,
    seen_ms BIGINT,
    seen_ip TEXT,
    PRIMARY KEY (nid, device_id)
) {clustered};

-- Of all secrets only hashes are kept.
-- A token that came out of a refresh names in `replaces` the refresh token that was used; when the
-- new token is used for the first time, the old one and what came with it end.
CREATE TABLE access_token (
    hash BYTEA NOT NULL PRIMARY KEY,
    nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    expires_ms BIGINT,
    refresh_hash BYTEA,
    replaces BYTEA
) {clustered};
CREATE INDEX access_token_by_device ON access_token (nid, device_id);

CREATE TABLE refresh_token (
    hash BYTEA NOT NULL PRIMARY KEY,
    nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    replaces BYTEA
) {clustered};
CREATE INDEX refresh_token_by_device ON refresh_token (nid, device_id);

-- Tokens for one purpose and a short time: 1 login, 2 OpenID.
CREATE TABLE short_token (
    hash BYTEA NOT NULL PRIMARY KEY,
    purpose BIGINT NOT NULL,
    nid BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
) {clustered};
CREATE INDEX short_token_by_expiry ON short_token (expires_ms);
CREATE INDEX short_token_by_user ON short_token (nid);

-- Typed in by people, hence readable.
CREATE TABLE registration_token (
    token TEXT NOT NULL PRIMARY KEY,
    uses_max BIGINT,
    uses BIGINT NOT NULL,
    expires_ms BIGINT,
    created_ms BIGINT NOT NULL
) {clustered};

CREATE TABLE profile_field (
    nid BIGINT NOT NULL,
    name TEXT NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (nid, name)
) {clustered};

-- The endings of the words of a user's name, so that any part of a word is the beginning of a row.
CREATE TABLE directory_word (
    word TEXT NOT NULL,
    nid BIGINT NOT NULL,
    PRIMARY KEY (word, nid)
) {clustered};
CREATE INDEX directory_word_by_user ON directory_word (nid);

-- Room 0: for the whole account.
CREATE TABLE account_data (
    nid BIGINT NOT NULL,
    room BIGINT NOT NULL,
    kind TEXT NOT NULL,
    content BYTEA NOT NULL,
    pos BIGINT NOT NULL,
    PRIMARY KEY (nid, room, kind)
) {clustered};
CREATE INDEX account_data_by_pos ON account_data (nid, pos);

CREATE TABLE filter (
    nid BIGINT NOT NULL,
    filter_id TEXT NOT NULL,
    definition BYTEA NOT NULL,
    PRIMARY KEY (nid, filter_id)
) {clustered};
