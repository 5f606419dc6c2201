-- How much a hotkey sent of late is counted with each upload: from the index alone.
CREATE INDEX submissions_by_hotkey ON submissions (hotkey, created_at, blame, cause);

-- When each hotkey last had an evaluation begun, as the number of the event: whose turn is longest ago is next.
CREATE TABLE evaluation_turns (
    hotkey TEXT PRIMARY KEY NOT NULL,
    last_claim BIGINT NOT NULL
);
