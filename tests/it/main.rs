//! The integration tests. One binary for all of them, because linking takes longer than most tests.
//!
//! The tests start the real `telewire` binary on a real socket. Telegram is a scripted fake
//! ([`support::fake_telegram`]) on another one. Tests do not sleep: they wait for an event, and fail after
//! [`support::wait::WAIT_TIMEOUT`].
//!
//! - [`pages`]: golden tests. Every preview page in `tests/pages` becomes the feeds next to it.
//! - [`options`]: golden tests of feed options.
//! - [`real_pages`]: captured preview pages, if available, are parsed completely.
//! - [`rich_posts`]: random blocks and spoilers reach the feed.
//! - [`commands`]: the output and exit codes of `get`, `check` and `healthcheck`.
//! - [`service`]: the HTTP service, with a working and with a failing Telegram.
//! - [`archive`]: posts survive crashes, full disks, restarts and replicas.
//! - [`media`]: pictures and videos under permanent URLs.
//! - [`pages_for_people`]: the web pages in headless Chromium.
//! - [`hostile_pages`]: generated pages, whose work, memory and feeds are limited.
//! - [`conventions`]: rules of the code base, checked by searching its files.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod archive;
mod commands;
mod conventions;
mod hostile_pages;
mod media;
mod options;
mod pages;
mod pages_for_people;
mod real_pages;
mod rich_posts;
mod service;
mod support;
