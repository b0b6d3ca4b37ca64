-- Times are seconds since 1970, except `fetched` and `fresh_for`, which are milliseconds. `record` and `body` are JSON
-- compressed with zlib.

-- `changed` is when the last visible change happened that no post's own timestamp shows: a deletion, a new title.
CREATE TABLE channel (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    telegram_id INTEGER,
    name TEXT NOT NULL,
    record BLOB NOT NULL,
    changed INTEGER,
    fetched INTEGER NOT NULL,
    fresh_for INTEGER NOT NULL,
    gone INTEGER NOT NULL DEFAULT 0
);

-- Names in lower case. A channel can have several.
CREATE TABLE alias (
    name TEXT PRIMARY KEY,
    channel INTEGER NOT NULL REFERENCES channel ON DELETE CASCADE
) WITHOUT ROWID;

-- `rules` is the version of the parser that read the post, `attempts` how often a hidden post was looked up.
CREATE TABLE post (
    channel INTEGER NOT NULL REFERENCES channel ON DELETE CASCADE,
    id INTEGER NOT NULL,
    published INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    gone INTEGER,
    rules INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL,
    PRIMARY KEY (channel, id)
);

-- No post between `above` and `below` is archived, but Telegram may have some. A `lazy` gap is filled only when a
-- request asks for posts in it.
CREATE TABLE gap (
    channel INTEGER NOT NULL REFERENCES channel ON DELETE CASCADE,
    above INTEGER NOT NULL,
    below INTEGER NOT NULL,
    linked INTEGER NOT NULL,
    lazy INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    retry INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, below)
) WITHOUT ROWID;
