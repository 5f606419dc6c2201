-- History decided again under another set: what was asked, how far it is, and what came of it.
CREATE TABLE backtests (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    policy_set TEXT NOT NULL REFERENCES policy_sets (digest),
    -- The set that was in force.
    baseline TEXT NOT NULL REFERENCES policy_sets (digest),
    -- The snapshot: the last submission, the version of the ledger and what rewards are computed from (JSON).
    through BIGINT NOT NULL,
    ledger_version BIGINT NOT NULL,
    ledger_view TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    -- The last submission that was decided again, and how many there are up to it and in all.
    position BIGINT NOT NULL,
    tried BIGINT NOT NULL,
    total BIGINT NOT NULL,
    -- The fold at that position, packed JSON.
    checkpoint BLOB,
    claimed_by TEXT,
    claimed_until BIGINT NOT NULL,
    report TEXT,
    error TEXT,
    CHECK ((report IS NOT NULL) = (state = 'done')),
    CHECK ((error IS NOT NULL) = (state = 'failed'))
);

-- Submissions that end otherwise under the other set.
CREATE TABLE backtest_changes (
    backtest BIGINT NOT NULL REFERENCES backtests (sequence),
    submission BIGINT NOT NULL REFERENCES submissions (sequence),
    change TEXT NOT NULL,
    PRIMARY KEY (backtest, submission)
);

CREATE INDEX ownership_events_by_submission ON ownership_events (submission_id);

-- Backtests that were let count: the ledger became the one in which they ended.
CREATE TABLE restatements (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    backtest BIGINT NOT NULL REFERENCES backtests (sequence),
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE TRIGGER restatements_never_change BEFORE UPDATE ON restatements
BEGIN SELECT RAISE(ABORT, 'restatements are append-only'); END;

-- Sets that decide about a share of the submissions.
CREATE TABLE canaries (
    policy_set TEXT PRIMARY KEY NOT NULL REFERENCES policy_sets (digest),
    share_ppm BIGINT NOT NULL CHECK (share_ppm BETWEEN 1 AND 1000000),
    at BIGINT NOT NULL
);

-- All decisions were taken again, and so many came out the same.
CREATE TABLE self_checks (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    ended_at BIGINT,
    same BIGINT NOT NULL,
    differs BIGINT NOT NULL,
    unknown BIGINT NOT NULL
);
