//! The unknown markup that posts had since the start, for the operator: the first sign of something new on Telegram.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use crate::clock;
use crate::model::channel::ChannelName;

/// Kinds of markup in a channel that are remembered, the latest ones.
const MAX_REMEMBERED: usize = 200;

/// A kind of unknown markup in the posts of a channel.
#[derive(Clone, Debug, Serialize)]
pub struct SeenMarkup {
    /// The classes of the element.
    pub markup: String,
    /// The channel.
    pub channel: ChannelName,
    /// The permalink of the last post that had it.
    pub example: String,
    /// How often a fetched page had it.
    pub n: u64,
    /// When a page last had it.
    pub last_seen: Timestamp,
}

/// Process-wide, like the metric that counts the same.
static SEEN: LazyLock<Mutex<HashMap<(String, ChannelName), SeenMarkup>>> = LazyLock::new(Mutex::default);

/// Remembers unknown markup of a post.
pub(super) fn record(markup: &str, channel: &ChannelName, permalink: &str) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (markup.to_owned(), channel.clone());
    if seen.len() >= MAX_REMEMBERED && !seen.contains_key(&key) {
        let oldest = seen.iter().min_by_key(|(_, found)| found.last_seen).map(|(key, _)| key.clone());
        oldest.map(|oldest| seen.remove(&oldest));
    }
    let n = seen.get(&key).map_or(0, |found| found.n) + 1;
    let (markup, channel) = key.clone();
    let found = SeenMarkup { markup, channel, example: permalink.to_owned(), n, last_seen: clock::now() };
    seen.insert(key, found);
}

/// Returns the unknown markup of this process's pages, the latest first.
#[must_use]
pub fn seen() -> Vec<SeenMarkup> {
    let mut seen: Vec<_> = SEEN.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
    seen.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.markup.cmp(&b.markup)));
    seen
}
