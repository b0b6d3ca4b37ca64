//! The integration tests: one program that runs `telewire` as people and readers do.
//!
//! The service is the real binary on a real socket, Telegram is a fake on another one ([`support::fake_telegram`]) that
//! answers by script. Nothing sleeps: a test waits for what it needs to happen, or fails after
//! [`support::wait::WAIT_TIMEOUT`].
//!
//! - [`pages`]: every page in `tests/pages` becomes the feeds beside it. A new case is a new file.
//! - [`real_pages`]: captured pages, where they are at hand, are read whole.
//! - [`commands`]: `get`, `check`, `healthcheck`, their output and exit codes.
//! - [`service`]: what readers get over HTTP, also when Telegram fails.
//! - [`archive`]: what was published stays, whatever happens.
//! - [`media`]: pictures and videos under addresses that stay good.
//! - [`conventions`]: rules of the code base that a search through its files can keep.

#![expect(clippy::unwrap_used, reason = "what cannot go on in a test ends it")]

mod archive;
mod commands;
mod conventions;
mod media;
mod pages;
mod real_pages;
mod service;
mod support;
