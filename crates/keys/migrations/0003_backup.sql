-- A deleted version stays as a row without sessions, so that its number is never used again.
CREATE TABLE backup_version (
    user_nid BIGINT NOT NULL,
    version BIGINT NOT NULL,
    algorithm TEXT NOT NULL,
    auth_data BYTEA NOT NULL,
    etag BIGINT NOT NULL,
    sessions BIGINT NOT NULL,
    deleted BIGINT NOT NULL CHECK (deleted IN (0, 1)),
    PRIMARY KEY (user_nid, version)
) {clustered};

CREATE TABLE backup_session (
    user_nid BIGINT NOT NULL,
    version BIGINT NOT NULL,
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    is_verified BIGINT NOT NULL CHECK (is_verified IN (0, 1)),
    first_message_index BIGINT NOT NULL,
    forwarded_count BIGINT NOT NULL,
    json BYTEA NOT NULL,
    PRIMARY KEY (user_nid, version, room_id, session_id)
) {clustered};

-- Deleted versions whose sessions are still to be deleted, a little at once.
CREATE TABLE backup_purge (
    user_nid BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (user_nid, version)
) {clustered};
