-- What makes this server itself, the same on all its nodes.
CREATE TABLE server_secret (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) {clustered};
