-- When readers of a channel are expected to ask for its feed again, in seconds since 1970, and how often they do, in
-- seconds. Nothing tells the readers apart.
CREATE TABLE expected_visit (
    name TEXT NOT NULL REFERENCES alias ON DELETE CASCADE,
    due BIGINT NOT NULL,
    poll_interval BIGINT NOT NULL,
    PRIMARY KEY (name, due)
);
