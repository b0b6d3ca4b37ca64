-- The posts of a channel in the order of time, which feeds of several channels promise. Deleted posts are in no feed.
CREATE INDEX post_published ON post (channel, published, id) WHERE gone IS NULL;
