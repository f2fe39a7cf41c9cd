-- What bytes there are. Equal bytes are kept once, whoever uploads them.
CREATE TABLE media_content (
    nid {identity},
    sha256 BYTEA NOT NULL UNIQUE,
    blob TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    uses BIGINT NOT NULL
) {strict};

-- What mxc:// URIs there are. Without content: promised, to be uploaded until expires_ms.
-- With content and expires_ms: kept until then (images of previews).
CREATE TABLE media (
    nid {identity},
    id TEXT NOT NULL UNIQUE,
    uploader BIGINT,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    content BIGINT,
    content_type TEXT,
    name TEXT
) {strict};
CREATE INDEX media_by_uploader ON media (uploader, nid);
CREATE INDEX media_by_expiry ON media (expires_ms) WHERE expires_ms IS NOT NULL;
CREATE INDEX media_promised ON media (uploader, expires_ms) WHERE content IS NULL;

-- Pictures made from content, each in a blob of its own.
CREATE TABLE media_thumbnail (
    content BIGINT NOT NULL,
    form TEXT NOT NULL,
    blob TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    content_type TEXT NOT NULL,
    PRIMARY KEY (content, form)
) {clustered};

-- Blobs that nothing refers to: not yet (written before the bytes are) or no more. From due_ms on
-- they may be deleted; a doomed one is being deleted and can no longer come into use.
CREATE TABLE media_loose (
    blob TEXT NOT NULL PRIMARY KEY,
    due_ms BIGINT NOT NULL,
    doomed BIGINT NOT NULL CHECK (doomed IN (0, 1))
) {clustered};
CREATE INDEX media_loose_by_due ON media_loose (due_ms);

-- Content that an administrator has closed: not served, not taken again.
CREATE TABLE media_blocked (
    sha256 BYTEA NOT NULL PRIMARY KEY,
    blocked_ms BIGINT NOT NULL
) {clustered};

-- How much each user has uploaded: in all, and in the day that began at day_ms.
CREATE TABLE media_usage (
    uploader BIGINT NOT NULL PRIMARY KEY,
    items BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    day_ms BIGINT NOT NULL,
    day_bytes BIGINT NOT NULL
) {clustered};

-- Previews of pages, by SHA-256 of the address.
CREATE TABLE media_preview (
    url_sha256 BYTEA NOT NULL PRIMARY KEY,
    expires_ms BIGINT NOT NULL,
    body BYTEA NOT NULL
) {clustered};
CREATE INDEX media_preview_by_expiry ON media_preview (expires_ms);
