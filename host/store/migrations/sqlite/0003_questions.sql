-- What policies were asked, packed with Zstandard, by the digest of the JSON: every decision can be taken again.
-- Decisions that were taken before this table existed have no question here.
CREATE TABLE questions (
    digest TEXT PRIMARY KEY NOT NULL,
    size_bytes BIGINT NOT NULL,
    packed BLOB NOT NULL
);

CREATE TRIGGER questions_never_change BEFORE UPDATE ON questions
BEGIN SELECT RAISE(ABORT, 'questions are immutable'); END;
CREATE TRIGGER decisions_never_change BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decisions_never_vanish BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
