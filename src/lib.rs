//! telewire turns public Telegram channels into RSS, Atom and JSON feeds with complete post bodies.
//!
//! # The pipeline
//!
//! > request → [`ChannelName`](model::channel::ChannelName) → snapshot cache → (fetch preview page → parse posts → merge into the
//! > [`archive`]) → [`Snapshot`](model::post::Snapshot) → [`Feed`](feed::Feed) → RSS, Atom or JSON → response
//!
//! Every module is a stage of this pipeline or serves one. Dependencies point one way: a module imports only modules above it
//! in the list below.
//!
//! # The modules, lowest layer first
//!
//! - [`clock`], `compressed_json`, `cpu_pool`, [`language`], [`metrics`], [`shutdown`]: the process's time, encoding, cores,
//!   words, counters and signals.
//! - `resilience`: backoff, circuit breaker, recent cache, single flight, tally, tasks that outlive panics.
//! - [`model`]: channels, posts, rich text, media files, feed pages. Plain data.
//! - [`net`]: the HTTP client and its SSRF protection.
//! - [`telegram`]: the only code that knows t.me. Fetches pages and parses them.
//! - [`archive`]: every post ever seen, in SQLite or PostgreSQL.
//! - [`channels`]: the service behind a feed. Serves snapshots from memory, refreshes, backfills and archives them.
//! - [`media`]: pictures and videos under permanent URLs of the service.
//! - [`feed`]: a snapshot becomes a feed, a feed becomes bytes. Also URLs of other bridges, and OPML.
//! - [`web`]: URLs, middleware, responses, pages for people, errors.
//! - [`config`]: flags, variables and the settings file become one `Config`.
//! - [`service`]: a `Config` becomes a running service.
//! - [`cli`]: the commands.
//!
//! # Invariants
//!
//! 1. Only `telegram` names t.me, its markup or `scraper`; only `web` names axum; only `feed::rss` and `feed::atom` name the
//!    feed crates.
//! 2. `model`, `feed` and the parsers in `telegram` are pure: no I/O, no clock, no configuration.
//! 3. A post that cannot be parsed never fails its page: it is counted and reported. A page that cannot be trusted never
//!    replaces good posts.
//! 4. Feed bytes are a pure function of the posts and the options: no current time, and counts of views, votes or reactions
//!    only if the options ask for them. The same posts give the same `ETag` after a restart and on every replica.
//! 5. An entry's id is the post's permalink as t.me spells it, identical in every format and permanent. `published` never
//!    changes; `updated` changes only when the post's own content changed.
//! 6. Everything from Telegram goes through `feed::sanitize` last; everything that goes into XML passes one character filter.
//! 7. At most one refresh per channel is in flight, in its own task: a client that disconnects does not cancel it.
//! 8. A failure of Telegram or the archive never reaches a reader whose channel was read before. Without a good feed the
//!    answer is 404 if Telegram says so, else 502, 503 or 504; never an empty feed, never an error entry.
//! 9. Nothing from outside is read without a limit.
//! 10. Only `config` reads the environment, only `main` and `cli` print, only `web`'s error type chooses a status code.
//! 11. A spoiler is never readable without the reader's action: not in titles, summaries or descriptions.
//! 12. Two URLs that mean the same feed share one cache entry and one `ETag`, except for those of a renamed channel.

pub mod archive;
pub mod channels;
pub mod cli;
pub mod clock;
mod compressed_json;
pub mod config;
mod cpu_pool;
pub mod feed;
pub mod language;
pub mod media;
pub mod metrics;
pub mod model;
pub mod net;
mod resilience;
pub mod service;
pub mod shutdown;
pub mod telegram;
pub mod web;
