-- Times are seconds since 1970, except `fetched` and `fresh_for`, which are milliseconds. `record` and `body` are JSON
-- compressed with zlib.

-- `changed` is when the last visible change happened that no post's own timestamp shows: a deletion, a new title.
CREATE TABLE channel (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    telegram_id BIGINT,
    name TEXT NOT NULL,
    record BYTEA NOT NULL,
    changed BIGINT,
    fetched BIGINT NOT NULL,
    fresh_for BIGINT NOT NULL,
    gone BIGINT NOT NULL DEFAULT 0
);

-- Names in lower case. A channel can have several.
CREATE TABLE alias (
    name TEXT PRIMARY KEY,
    channel BIGINT NOT NULL REFERENCES channel ON DELETE CASCADE
);

-- `rules` is the version of the parser that read the post, `attempts` how often a hidden post was looked up.
CREATE TABLE post (
    channel BIGINT NOT NULL REFERENCES channel ON DELETE CASCADE,
    id BIGINT NOT NULL,
    published BIGINT NOT NULL,
    missing BIGINT NOT NULL,
    gone BIGINT,
    rules BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    body BYTEA NOT NULL,
    PRIMARY KEY (channel, id)
);

-- No post between `above` and `below` is archived, but Telegram may have some. A `lazy` gap is filled only when a
-- request asks for posts in it.
CREATE TABLE gap (
    channel BIGINT NOT NULL REFERENCES channel ON DELETE CASCADE,
    above BIGINT NOT NULL,
    below BIGINT NOT NULL,
    linked BIGINT NOT NULL,
    lazy BIGINT NOT NULL,
    failures BIGINT NOT NULL DEFAULT 0,
    retry BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, below)
);

-- Which replica fetches a channel.
CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until TIMESTAMPTZ NOT NULL
);
