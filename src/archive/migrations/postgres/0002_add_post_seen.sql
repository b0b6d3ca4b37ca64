-- When a preview page last showed the post, and with it the URLs of its files, in milliseconds since 1970.
ALTER TABLE post ADD COLUMN seen BIGINT NOT NULL DEFAULT 0;
