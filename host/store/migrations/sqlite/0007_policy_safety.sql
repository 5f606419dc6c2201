-- Who brought which component, and whose signature it bears. `hash` is over `previous` and the row, so that a
-- row that was changed or left out shows.
CREATE TABLE component_log (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    component TEXT NOT NULL REFERENCES components (digest),
    -- Name of the key, the public key and the signature, hex; none of them where nobody signed.
    key_name TEXT,
    key TEXT,
    signature TEXT,
    actor TEXT NOT NULL,
    note TEXT NOT NULL,
    at BIGINT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL,
    CHECK ((key_name IS NULL) = (signature IS NULL) AND (key IS NULL) = (signature IS NULL))
);
CREATE INDEX component_log_by_component ON component_log (component);

CREATE TRIGGER component_log_never_changes BEFORE UPDATE ON component_log
BEGIN SELECT RAISE(ABORT, 'the log of components is append-only'); END;
CREATE TRIGGER component_log_never_shrinks BEFORE DELETE ON component_log
BEGIN SELECT RAISE(ABORT, 'the log of components is append-only'); END;

-- Weights that a set did not give, since it came into force. The last good ones were served instead.
CREATE TABLE rewards_faults (
    policy_set TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    -- Since the last vector that the set did give.
    in_a_row BIGINT NOT NULL,
    faults BIGINT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (policy_set, epoch)
);
