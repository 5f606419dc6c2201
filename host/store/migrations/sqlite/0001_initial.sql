-- The first schema. Portable columns only: TEXT, BIGINT, DOUBLE PRECISION, BLOB. Instants are BIGINT
-- microseconds since the Unix epoch, booleans are 0 or 1, JSON is TEXT, digests are 64 hex digits.
-- Rows that every upload writes refer to a submission by its sequence number: they then go to the end of
-- their index, and a batch of them shares its pages.
-- What another engine writes differently stands here and nowhere else: AUTOINCREMENT (a sequence that
-- never gives a number twice), WITHOUT ROWID and the triggers.

CREATE TABLE blobs (
    digest TEXT PRIMARY KEY NOT NULL,
    size_bytes BIGINT NOT NULL,
    bytes BLOB NOT NULL
);

CREATE TABLE policy_sets (
    digest TEXT PRIMARY KEY NOT NULL,
    canonical TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE policy_set_components (
    policy_set TEXT NOT NULL REFERENCES policy_sets (digest),
    slot TEXT NOT NULL,
    component TEXT NOT NULL REFERENCES blobs (digest),
    PRIMARY KEY (policy_set, slot)
);

CREATE TABLE submissions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    hotkey TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    code_hash TEXT NOT NULL,
    filename TEXT NOT NULL,
    archive TEXT NOT NULL REFERENCES blobs (digest),
    body_digest TEXT NOT NULL,
    metadata TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'held', 'completed', 'rejected', 'failed')),
    stage TEXT,
    cause TEXT,
    blame TEXT,
    error TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    policy_set TEXT REFERENCES policy_sets (digest),
    final_score DOUBLE PRECISION CHECK (final_score BETWEEN 0 AND 1),
    q_arch DOUBLE PRECISION CHECK (q_arch BETWEEN 0 AND 1),
    q_recipe DOUBLE PRECISION CHECK (q_recipe BETWEEN 0 AND 1),
    UNIQUE (hotkey, body_digest),
    -- A stage is due or under way exactly while the submission is not final.
    CHECK ((stage IS NOT NULL) = (status IN ('pending', 'running', 'held'))),
    CHECK ((cause IS NOT NULL) = (status = 'held')),
    CHECK ((blame IS NOT NULL) = (status = 'failed')),
    -- Scores are published by completion and by nothing else.
    CHECK ((final_score IS NOT NULL) = (status = 'completed')),
    CHECK ((q_arch IS NOT NULL) = (status = 'completed')),
    CHECK ((q_recipe IS NOT NULL) = (status = 'completed'))
);
CREATE INDEX submissions_by_status ON submissions (status, epoch, sequence);

-- A nonce is spent by the request that was accepted with it.
CREATE TABLE nonces (
    hotkey TEXT NOT NULL,
    nonce TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (hotkey, nonce)
);
CREATE INDEX nonces_by_expiry ON nonces (expires_at);

CREATE TABLE idempotency_keys (
    hotkey TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    body_digest TEXT NOT NULL,
    submission BIGINT NOT NULL REFERENCES submissions (sequence),
    PRIMARY KEY (hotkey, idempotency_key)
);

-- What happened to submissions, for ever. The number of a `claimed` event is the fencing token of that claim.
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    submission BIGINT NOT NULL REFERENCES submissions (sequence),
    event TEXT NOT NULL,
    state TEXT NOT NULL
);
CREATE INDEX events_by_submission ON events (submission, sequence);

-- One row for each pending or running submission. `claimable_at` is when it is due (nobody holds it)
-- or when the lease of `worker_id` runs out.
CREATE TABLE jobs (
    submission INTEGER PRIMARY KEY NOT NULL REFERENCES submissions (sequence),
    stage TEXT NOT NULL,
    claimable_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    worker_id TEXT,
    token BIGINT,
    progress TEXT,
    CHECK ((worker_id IS NULL) = (token IS NULL))
);
CREATE INDEX jobs_by_stage ON jobs (stage, submission);

-- What was measured and what policies said of it. Never changed; of each kind the last one counts.
CREATE TABLE measurements (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    submission BIGINT NOT NULL REFERENCES submissions (sequence),
    kind TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES blobs (digest),
    at BIGINT NOT NULL
);
CREATE INDEX measurements_by_submission ON measurements (submission, kind, sequence);

CREATE TABLE decisions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    submission BIGINT NOT NULL REFERENCES submissions (sequence),
    slot TEXT NOT NULL,
    policy_set TEXT NOT NULL REFERENCES policy_sets (digest),
    component TEXT NOT NULL,
    input TEXT NOT NULL,
    fuel BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    answer TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX decisions_by_submission ON decisions (submission, sequence);

CREATE TABLE fingerprints (
    sequence INTEGER PRIMARY KEY NOT NULL REFERENCES submissions (sequence),
    source TEXT NOT NULL,
    architecture TEXT NOT NULL,
    training TEXT NOT NULL,
    source_sketch BLOB NOT NULL,
    architecture_sketch BLOB NOT NULL
);
CREATE INDEX fingerprints_by_source ON fingerprints (source, sequence);
CREATE INDEX fingerprints_by_architecture ON fingerprints (architecture, sequence);

-- Locality-sensitive hashing: two sketches that share a band are worth comparing in full.
CREATE TABLE submission_bands (
    band BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    PRIMARY KEY (band, sequence)
) WITHOUT ROWID;

CREATE TABLE families (
    id TEXT PRIMARY KEY NOT NULL,
    family_hash TEXT NOT NULL UNIQUE,
    owner_hotkey TEXT NOT NULL,
    owner_submission_id TEXT NOT NULL REFERENCES submissions (id),
    canonical_submission_id TEXT NOT NULL REFERENCES submissions (id),
    q_arch_value DOUBLE PRECISION NOT NULL CHECK (q_arch_value BETWEEN 0 AND 1),
    q_arch_std_error DOUBLE PRECISION NOT NULL CHECK (q_arch_std_error >= 0),
    q_arch_samples BIGINT NOT NULL,
    sketch BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    improved_at BIGINT NOT NULL,
    -- Comparisons against this family so far, and how many were accepted: what a threshold that
    -- spends significance over repeated tests has to know.
    tests BIGINT NOT NULL DEFAULT 0,
    acceptances BIGINT NOT NULL DEFAULT 0,
    CHECK (acceptances <= tests)
);
CREATE INDEX families_by_score ON families (q_arch_value DESC, created_at, id);

CREATE TABLE family_bands (
    band BIGINT NOT NULL,
    family_id TEXT NOT NULL REFERENCES families (id),
    PRIMARY KEY (band, family_id)
) WITHOUT ROWID;
CREATE INDEX family_bands_by_family ON family_bands (family_id);

CREATE TABLE variants (
    id TEXT PRIMARY KEY NOT NULL,
    family_id TEXT NOT NULL REFERENCES families (id),
    training_hash TEXT NOT NULL,
    owner_hotkey TEXT NOT NULL,
    submission_id TEXT NOT NULL REFERENCES submissions (id),
    q_recipe_value DOUBLE PRECISION NOT NULL CHECK (q_recipe_value BETWEEN 0 AND 1),
    q_recipe_std_error DOUBLE PRECISION NOT NULL CHECK (q_recipe_std_error >= 0),
    q_recipe_samples BIGINT NOT NULL,
    is_current_best BIGINT NOT NULL CHECK (is_current_best IN (0, 1)),
    best_since BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (family_id, training_hash),
    CHECK ((best_since IS NOT NULL) = (is_current_best = 1))
);
CREATE UNIQUE INDEX variants_one_current_best ON variants (family_id) WHERE is_current_best = 1;

-- The numbers have no gap: each is the version of the ledger after the change.
CREATE TABLE ownership_events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    submission_id TEXT NOT NULL REFERENCES submissions (id),
    change TEXT NOT NULL
);

CREATE TABLE holds (
    id TEXT PRIMARY KEY NOT NULL,
    submission_id TEXT NOT NULL REFERENCES submissions (id),
    status TEXT NOT NULL CHECK (status IN ('pending', 'resolved', 'rejected')),
    reason TEXT NOT NULL,
    confidence DOUBLE PRECISION NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX holds_one_pending ON holds (submission_id) WHERE status = 'pending';
CREATE INDEX holds_by_age ON holds (created_at);

CREATE TABLE weights_snapshots (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch BIGINT NOT NULL,
    vector TEXT NOT NULL,
    provenance TEXT NOT NULL,
    ledger_digest TEXT NOT NULL,
    at BIGINT NOT NULL
);

-- Keys that this deployment drew once, shared by all processes on the database.
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TRIGGER blobs_never_change BEFORE UPDATE ON blobs
BEGIN SELECT RAISE(ABORT, 'blobs are immutable'); END;
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_never_vanish BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER ownership_events_never_change BEFORE UPDATE ON ownership_events
BEGIN SELECT RAISE(ABORT, 'ownership events are append-only'); END;
CREATE TRIGGER ownership_events_never_vanish BEFORE DELETE ON ownership_events
BEGIN SELECT RAISE(ABORT, 'ownership events are append-only'); END;
CREATE TRIGGER weights_snapshots_never_change BEFORE UPDATE ON weights_snapshots
BEGIN SELECT RAISE(ABORT, 'weights snapshots are append-only'); END;
CREATE TRIGGER weights_snapshots_never_vanish BEFORE DELETE ON weights_snapshots
BEGIN SELECT RAISE(ABORT, 'weights snapshots are append-only'); END;
