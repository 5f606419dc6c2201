-- Components, policy sets and what happened to them. Everything is appended; nothing is ever changed but the
-- state of a set, which follows from its log.
CREATE TABLE components (
    digest TEXT PRIMARY KEY NOT NULL REFERENCES blobs (digest),
    slot TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    summary TEXT NOT NULL,
    settings_schema TEXT NOT NULL,
    default_settings TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    actor TEXT NOT NULL,
    note TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE TABLE policy_set_states (
    policy_set TEXT PRIMARY KEY NOT NULL REFERENCES policy_sets (digest),
    state TEXT NOT NULL,
    at BIGINT NOT NULL
);

-- Who did what to which set, when and why. `hash` is over `previous` and the row, so that a row that was
-- changed or left out shows.
CREATE TABLE policy_log (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    policy_set TEXT NOT NULL REFERENCES policy_sets (digest),
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);

-- The set in force is the one that was activated last.
CREATE TABLE activations (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    policy_set TEXT NOT NULL REFERENCES policy_sets (digest),
    replaced TEXT REFERENCES policy_sets (digest),
    embedded BIGINT NOT NULL CHECK (embedded IN (0, 1)),
    at BIGINT NOT NULL
);

CREATE TRIGGER components_never_change BEFORE UPDATE ON components
BEGIN SELECT RAISE(ABORT, 'components are immutable'); END;
CREATE TRIGGER policy_log_never_changes BEFORE UPDATE ON policy_log
BEGIN SELECT RAISE(ABORT, 'the log of policies is append-only'); END;
CREATE TRIGGER policy_log_never_shrinks BEFORE DELETE ON policy_log
BEGIN SELECT RAISE(ABORT, 'the log of policies is append-only'); END;
CREATE TRIGGER activations_never_change BEFORE UPDATE ON activations
BEGIN SELECT RAISE(ABORT, 'activations are append-only'); END;
CREATE TRIGGER activations_never_vanish BEFORE DELETE ON activations
BEGIN SELECT RAISE(ABORT, 'activations are append-only'); END;
