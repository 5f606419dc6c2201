-- What a set that runs beside the one in force says to the same questions. Kept, shown, never used.
CREATE TABLE shadows (
    policy_set TEXT PRIMARY KEY NOT NULL REFERENCES policy_sets (digest),
    -- The last decision that was taken before it ran beside.
    since BIGINT NOT NULL,
    at BIGINT NOT NULL
);

CREATE TABLE shadow_answers (
    policy_set TEXT NOT NULL REFERENCES policy_sets (digest),
    decision BIGINT NOT NULL REFERENCES decisions (sequence),
    verdict TEXT NOT NULL CHECK (verdict IN ('same', 'differs', 'fault', 'untried')),
    -- The other answer, or the fault; empty where it is the same.
    answer TEXT NOT NULL,
    fuel BIGINT NOT NULL,
    PRIMARY KEY (policy_set, decision)
);
