//! Channels: their names, and the header of their preview page.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::rich_text::RichText;

/// The longest name of a channel.
const MAX_NAME_BYTES: usize = 32;

/// A channel's public name, such as `durov`: 4 to 32 letters, digits and `_`, the first a letter.
///
/// Telegram ignores the case of names, so equality, order and hashing do too. The original spelling is kept for display.
#[derive(Clone, Debug, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ChannelName(Box<str>);

impl ChannelName {
    /// Parses a bare name. [`parse_channel`](crate::telegram::typed::parse_channel) parses names with `@` and URLs.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = name.bytes();
        let is_valid = (4..=MAX_NAME_BYTES).contains(&name.len())
            && bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_valid.then(|| Self(name.into()))
    }

    /// Returns the name in its original spelling, without `@`.
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

impl Ord for ChannelName {
    fn cmp(&self, other: &Self) -> Ordering {
        let lowercase = |byte: u8| byte.to_ascii_lowercase();
        self.0.bytes().map(lowercase).cmp(other.0.bytes().map(lowercase))
    }
}

impl PartialOrd for ChannelName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for ChannelName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // In one call: hashers are slow with single bytes.
        let mut name = [0; MAX_NAME_BYTES];
        name[..self.0.len()].copy_from_slice(self.0.as_bytes());
        name.make_ascii_lowercase();
        state.write(&name);
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The header of a channel's preview page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The canonical name, spelled as in the permalinks of posts.
    pub name: ChannelName,
    /// Telegram's numeric id, which stays the same when the channel is renamed.
    pub id: Option<u64>,
    /// The channel's web page, `https://t.me/NAME`.
    pub url: String,
    /// The title, plain text; never blank.
    pub title: String,
    /// The description; may be empty.
    pub about: RichText,
    /// The URL of the photo (JPEG), which expires.
    pub photo: Option<String>,
    /// Subscribers, photos, videos, files and links, in the preview page's order.
    pub counters: Vec<Counter>,
    /// Telegram has verified the owner.
    pub verified: bool,
    /// Telegram's warning label, verbatim: `SCAM` or `FAKE`.
    pub warning: Option<String>,
    /// The lines with which the channel ends most of its posts. The archive finds them and never removes one; see
    /// [`signature`](crate::model::signature).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signature_lines: Vec<String>,
    /// The last name that the archive knew as another channel's. The archive finds it and keeps it permanently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<TakenName>,
}

/// A name that used to belong to another channel, which Telegram's numeric id shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenName {
    /// The name.
    pub name: ChannelName,
    /// When a page first showed the new owner.
    pub since: Timestamp,
}

impl Channel {
    /// Returns a channel of which only the name, the URL and the title are known.
    #[must_use]
    pub fn new(name: ChannelName, url: String, title: String) -> Self {
        Self {
            name,
            id: None,
            url,
            title,
            about: RichText::default(),
            photo: None,
            counters: Vec::new(),
            verified: false,
            warning: None,
            signature_lines: Vec::new(),
            taken_over: None,
        }
    }

    /// Returns the size of the header as JSON, the form in which it is archived and cached.
    #[must_use]
    pub fn json_len(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |json| json.len())
    }
}

/// A number in the header of a preview page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// The label, verbatim: `subscribers`, `photo`, `links`.
    pub what: String,
    /// The number, rounded by Telegram to two or three digits.
    pub n: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn channel_names_ignore_case_and_keep_their_spelling() {
        let spelled = ChannelName::new("Durov").unwrap();
        assert_eq!(spelled.as_str(), "Durov");
        assert_eq!(HashSet::from([spelled, ChannelName::new("dUROV").unwrap()]).len(), 1);
    }

    #[test]
    fn invalid_channel_names_are_rejected() {
        let too_long = "a".repeat(33);
        for name in ["", "abc", "1abcd", "_abcd", "ab cd", "abc-d", "дуров", "abcé", &too_long] {
            assert!(ChannelName::new(name).is_none(), "{name}");
        }
    }
}
