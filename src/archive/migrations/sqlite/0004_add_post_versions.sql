-- What posts showed before their authors edited them, numbered from the oldest. `until` is when a preview page last
-- showed the version, in milliseconds since 1970. `body` is as in `post`.
CREATE TABLE post_version (
    channel INTEGER NOT NULL,
    id INTEGER NOT NULL,
    n INTEGER NOT NULL,
    until INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (channel, id, n),
    FOREIGN KEY (channel, id) REFERENCES post ON DELETE CASCADE
);
