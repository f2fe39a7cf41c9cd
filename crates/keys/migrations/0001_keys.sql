-- Identity keys of a device, as uploaded, without "unsigned".
CREATE TABLE device_key (
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    json BYTEA NOT NULL,
    PRIMARY KEY (user_nid, device_id)
) {clustered};

-- Keys that nobody has claimed yet. The lowest seq is the oldest.
CREATE TABLE one_time_key (
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    seq BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    digest BYTEA NOT NULL,
    json BYTEA NOT NULL,
    PRIMARY KEY (user_nid, device_id, algorithm, seq)
) {clustered};
CREATE UNIQUE INDEX one_time_key_by_id ON one_time_key (user_nid, device_id, algorithm, key_id);

-- Keys that were handed out: an upload that is sent again must not bring them back.
CREATE TABLE one_time_key_used (
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    digest BYTEA NOT NULL,
    used_ms BIGINT NOT NULL,
    PRIMARY KEY (user_nid, device_id, algorithm, key_id)
) {clustered};
CREATE INDEX one_time_key_used_by_time ON one_time_key_used (used_ms);

CREATE TABLE fallback_key (
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    json BYTEA NOT NULL,
    used BIGINT NOT NULL CHECK (used IN (0, 1)),
    PRIMARY KEY (user_nid, device_id, algorithm)
) {clustered};

-- usage: master, self_signing, user_signing.
CREATE TABLE cross_signing_key (
    user_nid BIGINT NOT NULL,
    usage TEXT NOT NULL,
    public_key TEXT NOT NULL,
    json BYTEA NOT NULL,
    PRIMARY KEY (user_nid, usage)
) {clustered};

-- Signatures uploaded later than the key they are on. The target key is a device id or a public
-- key; the signing key is written as in JSON: ed25519:ID.
CREATE TABLE key_signature (
    target_nid BIGINT NOT NULL,
    target_key TEXT NOT NULL,
    signer_nid BIGINT NOT NULL,
    signing_key TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (target_nid, target_key, signer_nid, signing_key)
) {clustered};

-- When a user's devices or keys changed last.
CREATE TABLE device_list (
    user_nid BIGINT PRIMARY KEY,
    pos BIGINT NOT NULL
) {strict};
CREATE UNIQUE INDEX device_list_by_pos ON device_list (pos);

-- When a user last signed another user's key: the signer's other devices must look again.
CREATE TABLE user_signature (
    signer_nid BIGINT NOT NULL,
    target_nid BIGINT NOT NULL,
    pos BIGINT NOT NULL,
    PRIMARY KEY (signer_nid, target_nid)
) {clustered};
CREATE INDEX user_signature_by_pos ON user_signature (signer_nid, pos);
