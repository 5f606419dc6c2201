-- Questions to the language model: what they cost, and what came of them. An answer is used again for the same question.
CREATE TABLE model_calls (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    question TEXT NOT NULL,
    model TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    code TEXT,
    arguments TEXT
);
CREATE INDEX model_calls_by_question ON model_calls (question, sequence);
CREATE INDEX model_calls_by_time ON model_calls (at);

-- A review that asks a language model: later reviews need not wait for it.
ALTER TABLE jobs ADD COLUMN asking BIGINT NOT NULL DEFAULT 0;
