//! Channels: the name a person types, and what a channel says of itself.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::model::rich_text::RichText;

/// A channel's public name, such as `durov`: 4 to 32 letters, digits and `_`, the first a letter.
///
/// Telegram compares names without regard to case, so equality and hashing do too; the spelling that was
/// given is kept for display.
#[derive(Clone, Debug, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ChannelName(Box<str>);

impl ChannelName {
    /// The name, if `name` is spelled as Telegram allows (no `@`, no address: see
    /// [`telegram::url`](crate::telegram::url) for those).
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = name.bytes();
        let well_spelled = (4..=32).contains(&name.len())
            && bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        well_spelled.then(|| Self(name.into()))
    }

    /// The name as it was spelled, without `@`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ChannelName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::new(&name).ok_or(name)
    }
}

impl PartialEq for ChannelName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Hash for ChannelName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
        state.write_u8(0xff);
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a channel says of itself on its preview page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The canonical name, in the spelling that posts' permalinks use.
    pub name: ChannelName,
    /// Telegram's numeric id, which survives a change of name.
    pub id: Option<u64>,
    /// The channel's page for people, `https://t.me/NAME`.
    pub url: String,
    /// The title, plain text; never blank.
    pub title: String,
    /// What the channel writes about itself; empty when it says nothing.
    pub about: RichText,
    /// Address of the channel's photo.
    pub photo: Option<String>,
    /// What the page counts, in its order: subscribers, photos, videos, files, links.
    pub counters: Vec<Counter>,
    /// Telegram has verified who runs the channel.
    pub verified: bool,
    /// Telegram's warning label in its own word: `SCAM` or `FAKE`.
    pub warning: Option<String>,
}

/// One number of a channel's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// What is counted, in the page's word: `subscribers`, `photo`, `links`.
    pub what: String,
    /// How many; rounded by Telegram to two or three digits.
    pub n: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_ignore_case_but_keep_their_spelling() {
        let spelled = ChannelName::new("Durov").unwrap();
        assert_eq!(spelled.as_str(), "Durov");
        assert_eq!(HashSet::from([spelled, ChannelName::new("dUROV").unwrap()]).len(), 1);
    }

    #[test]
    fn names_outside_the_rules_are_refused() {
        let too_long = "a".repeat(33);
        for name in ["", "abc", "1abcd", "_abcd", "ab cd", "abc-d", "дуров", "abcé", &too_long] {
            assert!(ChannelName::new(name).is_none(), "{name}");
        }
    }
}
