-- What belongs to a person as a payer. `pin_tries` counts tries since the last right one; they are
-- counted before the PIN is looked at.
CREATE TABLE pay_person (
    user_nid BIGINT NOT NULL PRIMARY KEY,
    pin_hash TEXT,
    pin_tries BIGINT NOT NULL,
    pin_locked_until_ms BIGINT,
    auto_accept BIGINT NOT NULL CHECK (auto_accept IN (0, 1)),
    frozen BIGINT NOT NULL CHECK (frozen IN (0, 1))
) {clustered};

-- A payment from one person to another. Its id is that of its transfer. The ledger says what became
-- of the money; `state` is written in the same commit as the ledger's entry, `ended` says why.
-- kind: 1 sent, 2 asked for, 3 a share of an envelope. A share has no receiver until it is opened.
-- state: 0 on its way, 1 accepted, 2 refused, 3 cancelled, 4 returned.
-- `shown` is the state that the card in the room tells.
CREATE TABLE pay_payment (
    id BYTEA NOT NULL PRIMARY KEY,
    pos BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    ledger BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    sender BIGINT NOT NULL,
    receiver BIGINT,
    room BIGINT,
    note TEXT NOT NULL,
    state BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    deadline_ms BIGINT,
    ended_ms BIGINT,
    grouped BYTEA,
    card TEXT,
    shown BIGINT
) {clustered};
CREATE INDEX pay_payment_by_sender ON pay_payment (sender, pos);
CREATE INDEX pay_payment_by_receiver ON pay_payment (receiver, pos);
CREATE INDEX pay_payment_by_time ON pay_payment (sender, ledger, created_ms);
CREATE INDEX pay_payment_by_group ON pay_payment (grouped, pos);
CREATE INDEX pay_payment_open ON pay_payment (deadline_ms) WHERE state = 0;
CREATE INDEX pay_payment_stale ON pay_payment (pos) WHERE shown <> state;

-- Somebody asks somebody for money. state: 0 open, 1 paid, 2 declined, 3 cancelled.
CREATE TABLE pay_ask (
    id BYTEA NOT NULL PRIMARY KEY,
    asker BIGINT NOT NULL,
    payer BIGINT NOT NULL,
    ledger BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    note TEXT NOT NULL,
    room BIGINT,
    state BIGINT NOT NULL,
    payment BYTEA,
    grouped BYTEA,
    created_ms BIGINT NOT NULL
) {clustered};
CREATE INDEX pay_ask_by_payer ON pay_ask (payer, state);
CREATE INDEX pay_ask_by_asker ON pay_ask (asker, created_ms);
CREATE INDEX pay_ask_by_group ON pay_ask (grouped);

-- What was asked for under which key, and what it made.
CREATE TABLE pay_request (
    user_nid BIGINT NOT NULL,
    request_key TEXT NOT NULL,
    digest BYTEA NOT NULL,
    made BYTEA NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (user_nid, request_key)
) {clustered};

-- What operators did. Only added to.
CREATE TABLE pay_audit (
    id {identity},
    at_ms BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    user_nid BIGINT,
    detail TEXT NOT NULL
) {strict};
