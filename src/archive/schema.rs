//! The tables, and how an older archive becomes one of today.

/// Steps that made the schema what it is, each as the statements for SQLite and for PostgreSQL. The version of an
/// archive is how many of them it has taken. A step that was released is never changed: another one is added.
pub(super) const STEPS: [Step; 2] =
    [Step { sqlite: SQLITE_1, postgres: POSTGRES_1 }, Step { sqlite: SEEN, postgres: SEEN }];

/// One step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) sqlite: &'static [&'static str],
    pub(super) postgres: &'static [&'static str],
}

// Times are seconds since 1970, but for `fetched` and `fresh_for`, which are milliseconds. `record` and `body` are
// JSON, deflated (zlib, so that damage is noticed). `alias` has names in small letters; a channel can have several.
// `changed` is when something changed that no post's own time tells: a deletion, the channel's title, an address.
// A gap has no known post between `above` and `below`, and Telegram may have some; `lazy` ones are only filled when
// somebody asks for what is in them.
const SQLITE_1: &[&str] = &[
    "CREATE TABLE channel (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        telegram_id INTEGER,
        name TEXT NOT NULL,
        record BLOB NOT NULL,
        changed INTEGER,
        fetched INTEGER NOT NULL,
        fresh_for INTEGER NOT NULL,
        gone INTEGER NOT NULL DEFAULT 0
    )",
    "CREATE TABLE alias (
        name TEXT PRIMARY KEY,
        channel INTEGER NOT NULL REFERENCES channel ON DELETE CASCADE
    ) WITHOUT ROWID",
    "CREATE TABLE post (
        channel INTEGER NOT NULL REFERENCES channel ON DELETE CASCADE,
        id INTEGER NOT NULL,
        published INTEGER NOT NULL,
        missing INTEGER NOT NULL,
        gone INTEGER,
        rules INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        body BLOB NOT NULL,
        PRIMARY KEY (channel, id)
    )",
    "CREATE TABLE gap (
        channel INTEGER NOT NULL REFERENCES channel ON DELETE CASCADE,
        above INTEGER NOT NULL,
        below INTEGER NOT NULL,
        linked INTEGER NOT NULL,
        lazy INTEGER NOT NULL,
        failures INTEGER NOT NULL DEFAULT 0,
        retry INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (channel, below)
    ) WITHOUT ROWID",
];

// When a page last showed the post, and with it the addresses of its files; in milliseconds since 1970.
const SEEN: &[&str] = &["ALTER TABLE post ADD COLUMN seen BIGINT NOT NULL DEFAULT 0"];

const POSTGRES_1: &[&str] = &[
    "CREATE TABLE channel (
        key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        telegram_id BIGINT,
        name TEXT NOT NULL,
        record BYTEA NOT NULL,
        changed BIGINT,
        fetched BIGINT NOT NULL,
        fresh_for BIGINT NOT NULL,
        gone BIGINT NOT NULL DEFAULT 0
    )",
    "CREATE TABLE alias (
        name TEXT PRIMARY KEY,
        channel BIGINT NOT NULL REFERENCES channel ON DELETE CASCADE
    )",
    "CREATE TABLE post (
        channel BIGINT NOT NULL REFERENCES channel ON DELETE CASCADE,
        id BIGINT NOT NULL,
        published BIGINT NOT NULL,
        missing BIGINT NOT NULL,
        gone BIGINT,
        rules BIGINT NOT NULL,
        attempts BIGINT NOT NULL DEFAULT 0,
        body BYTEA NOT NULL,
        PRIMARY KEY (channel, id)
    )",
    "CREATE TABLE gap (
        channel BIGINT NOT NULL REFERENCES channel ON DELETE CASCADE,
        above BIGINT NOT NULL,
        below BIGINT NOT NULL,
        linked BIGINT NOT NULL,
        lazy BIGINT NOT NULL,
        failures BIGINT NOT NULL DEFAULT 0,
        retry BIGINT NOT NULL DEFAULT 0,
        PRIMARY KEY (channel, below)
    )",
    "CREATE TABLE lease (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        until TIMESTAMPTZ NOT NULL
    )",
];
