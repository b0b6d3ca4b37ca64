-- The articles on Telegraph that posts link to, numbered for each post. `path` is the end of the article's URL, `fetched` is in
-- milliseconds since 1970, and `body` is JSON compressed like that of posts; it is empty if there is no such article.
CREATE TABLE article (
    channel INTEGER NOT NULL,
    post INTEGER NOT NULL,
    n INTEGER NOT NULL,
    path TEXT NOT NULL,
    fetched INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (channel, post, n),
    FOREIGN KEY (channel, post) REFERENCES post ON DELETE CASCADE
);
