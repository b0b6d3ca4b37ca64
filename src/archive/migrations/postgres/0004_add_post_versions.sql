-- What posts showed before their authors edited them, numbered from the oldest. `until` is when a preview page last
-- showed the version, in milliseconds since 1970. `body` is as in `post`.
CREATE TABLE post_version (
    channel BIGINT NOT NULL,
    id BIGINT NOT NULL,
    n BIGINT NOT NULL,
    until BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (channel, id, n),
    FOREIGN KEY (channel, id) REFERENCES post ON DELETE CASCADE
);
