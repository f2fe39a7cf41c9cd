-- Where each ledger stands: how many entries its journal has, the time of the last one, its hash,
-- and the roots of the complete subtrees of the Merkle tree over all of them, largest first.
CREATE TABLE ledger_head (
    ledger BIGINT NOT NULL PRIMARY KEY,
    entries BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    peaks BYTEA NOT NULL
) {clustered};

-- Everything that ever happened, in order. A position is the ledger's number and the entry's number
-- in it. kind: 1 an account was opened, 2 a transfer, 3 a pending transfer expired.
-- `body` holds what nobody searches for, the balances of both accounts after the entry among it.
CREATE TABLE ledger_entry (
    pos BIGINT NOT NULL PRIMARY KEY,
    kind BIGINT NOT NULL,
    id BYTEA NOT NULL,
    debit BYTEA NOT NULL,
    credit BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    body BYTEA NOT NULL,
    hash BYTEA NOT NULL
) {strict};
CREATE UNIQUE INDEX ledger_entry_by_id ON ledger_entry (id, kind);
CREATE INDEX ledger_entry_by_debit ON ledger_entry (debit, pos);
CREATE INDEX ledger_entry_by_credit ON ledger_entry (credit, pos);

-- Accounts with their balances now: what the journal adds up to.
CREATE TABLE ledger_account (
    id BYTEA NOT NULL PRIMARY KEY,
    ledger BIGINT NOT NULL,
    facts BYTEA NOT NULL,
    balances BYTEA NOT NULL,
    last_pos BIGINT NOT NULL
) {clustered};

-- Pending transfers and what became of them. state: 0 pending, 1 posted, 2 voided, 3 expired.
CREATE TABLE ledger_pending (
    id BYTEA NOT NULL PRIMARY KEY,
    ledger BIGINT NOT NULL,
    deadline_ms BIGINT,
    state BIGINT NOT NULL
) {clustered};
CREATE INDEX ledger_pending_by_deadline ON ledger_pending (ledger, deadline_ms)
    WHERE state = 0 AND deadline_ms IS NOT NULL;

-- Transfers that were refused for a reason that may pass (too little money): asked again with the
-- same id, the answer stays what it was.
CREATE TABLE ledger_refused (
    id BYTEA NOT NULL PRIMARY KEY,
    code BIGINT NOT NULL,
    digest BYTEA NOT NULL
) {clustered};

-- Roots of complete subtrees of the Merkle trees: height 8 at level 1, height 16 at level 2, and so
-- on. `number` counts them from 0 in each level. They can be computed from the entries.
CREATE TABLE ledger_tile (
    ledger BIGINT NOT NULL,
    level BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (ledger, level, number)
) {clustered};
