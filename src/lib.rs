//! telewire turns public Telegram channels into RSS, Atom and JSON Feed, every post whole.
//!
//! # The line
//!
//! > request → [`ChannelName`](channel::ChannelName) → [`cache`] → (fetch page → parse posts → merge [`archive`]) →
//! > [`Snapshot`](post::Snapshot) → [`Feed`](feed::Feed) → RSS, Atom or JSON → response
//!
//! Everything here is a stage of this line or serves one. It runs one way: nothing lower names anything higher.
//!
//! # The map, in reading order
//!
//! - [`channel`], [`text`], [`post`]: the model. A channel, what its posts say, what they show.
//! - [`files`]: the files that a post shows, under names that stay.
//! - [`guard`]: which addresses of the internet may be asked.
//! - [`telegram`]: the only code that knows what t.me looks like. It asks for a page and reads it.
//! - [`backoff`]: how long to wait before trying again what failed.
//! - [`meter`]: what is counted, for Prometheus.
//! - [`work`]: what keeps a core busy, done beside the answers.
//! - [`cache`]: snapshots in memory, bounded in bytes; one task at a time for the same work.
//! - [`archive`]: every post ever seen, in SQLite or PostgreSQL.
//! - [`refresh`]: fetches, parses, decides whether to believe the page, merges, and alone writes archive and cache.
//! - [`media`]: pictures and videos under addresses of the service's own; streaming them.
//! - [`feed`]: a snapshot becomes a feed, a feed becomes bytes.
//! - [`web`]: addresses, answers, errors.
//! - [`config`], [`cli`]: what a person sets, and the commands.
//!
//! # What always holds
//!
//! 1. Only `telegram` names t.me and its markup, only `web` names axum, only `feed::rss` and `feed::atom` name the
//!    feed crates.
//! 2. The model, the parsers and `feed` are pure: no I/O, no clock, no configuration.
//! 3. A post that can't be read never fails its page: it is counted and said. A page that can't be trusted never
//!    replaces good posts.
//! 4. Feed bytes are a pure function of the posts and the options, so the same posts give the same `ETag`
//!    everywhere: no "now", no counts of views, votes or reactions.
//! 5. An entry's id is the post's permalink as t.me spells it, in every format and for ever. `published` never moves;
//!    `updated` moves only when the post's own content changed.
//! 6. What came from Telegram goes through `feed::sanitize` last, and into XML through one filter.
//! 7. At most one refresh of a channel is under way, as a task of its own: a reader that hangs up does not end it.
//! 8. A failure upstream or of the archive never reaches a reader whose channel was once read. Without a good feed the answer is 404
//!    when Telegram says so, else 502, 503 or 504; never an empty feed, never an error posing as a post.
//! 9. Nothing from outside is read without a limit.
//! 10. Only `config` reads the environment, only `main` and `cli` print, only `web`'s error type picks a status.

pub mod archive;
pub mod backoff;
pub mod cache;
pub mod channel;
pub mod cli;
pub mod config;
pub mod feed;
pub mod files;
pub mod guard;
pub mod media;
pub mod meter;
pub mod post;
pub mod refresh;
pub mod telegram;
pub mod text;
pub mod web;
pub mod work;
