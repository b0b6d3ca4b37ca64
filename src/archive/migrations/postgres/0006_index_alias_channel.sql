-- The names of a channel, which are deleted with it: without an index, each deleted channel reads all names.
CREATE INDEX alias_channel ON alias (channel);
