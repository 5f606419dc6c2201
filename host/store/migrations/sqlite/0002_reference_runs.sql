-- The reference's runs, so that evaluations with the same plan and seeds need not repeat them. A cache:
-- it may be emptied at any time. `asked` is what is known before an evaluation (plan, seeds, backend),
-- `stack` what it turned out to run on (corpus, image, device, versions); the newest runs of each count.
CREATE TABLE reference_runs (
    asked TEXT NOT NULL,
    stack TEXT NOT NULL,
    digest TEXT NOT NULL,
    bytes BLOB NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (asked, stack)
);
CREATE INDEX reference_runs_by_age ON reference_runs (at);
