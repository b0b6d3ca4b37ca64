//! Bundles: feeds of several channels that the operator has named in the settings file, `/-/bundle/news/rss`.

mod answer;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use super::canonical::{self, MAX_CHANNELS};
use super::error::Error;
use super::middleware::access::BUNDLE_PATH;
use crate::feed::filter::Filter;
use crate::feed::options::FeedOptions;
use crate::feed::several_channels::unsupported;
use crate::model::channel::ChannelName;

pub(super) use answer::{answer, feed_key, group};

/// The bundles of a service, by name.
pub type Bundles = BTreeMap<BundleName, Bundle>;

/// The name of a bundle in URLs: letters in lower case, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BundleName(String);

impl FromStr for BundleName {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_valid = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if !name.is_empty() && name.bytes().all(is_valid) {
            Ok(Self(name.to_owned()))
        } else {
            Err("a name consists of the letters a to z, digits, - and _")
        }
    }
}

/// The options of a bundle, which those in a URL replace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleOptions {
    query: String,
}

impl FromStr for BundleOptions {
    type Err = String;

    /// Parses a query, as in the URL of a feed.
    fn from_str(query: &str) -> Result<Self, String> {
        let query = query.trim_start_matches('?').to_owned();
        let parsed = FeedOptions::parse(&query).map_err(|err| err.to_string())?;
        Filter::new(&parsed).map_err(|err| err.to_string())?;
        match unsupported(&parsed) {
            Some(what) => Err(Error::NotForSeveral(what).to_string()),
            None if parsed.before.is_some() => Err("`before` is a page of a feed: leave it out".to_owned()),
            None => Ok(Self { query }),
        }
    }
}

/// The channels of a bundle: at least one, each once, and at most [`MAX_CHANNELS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleChannels(Vec<ChannelName>);

impl BundleChannels {
    /// Sorts the channels and removes duplicates.
    ///
    /// # Errors
    ///
    /// The problem with their number.
    pub fn new(names: Vec<ChannelName>) -> Result<Self, String> {
        let names = canonical::sorted(names);
        match names.len() {
            0 => Err("a bundle needs at least one channel".to_owned()),
            1..=MAX_CHANNELS => Ok(Self(names)),
            n => Err(Error::TooManyChannels(n).to_string()),
        }
    }
}

/// A named feed of several channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The channels.
    pub channels: BundleChannels,
    /// The title of the feed; the names of the channels if absent.
    pub title: Option<String>,
    /// The options of the feed without a query.
    pub options: BundleOptions,
}

impl Bundle {
    /// Returns the path of a bundle's page.
    pub(super) fn path(name: &BundleName) -> String {
        [BUNDLE_PATH, &name.0].concat()
    }

    /// Returns what tells this bundle from an earlier one with its name, which rendered feeds may be of.
    fn edition(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.channels.0, &self.title, &self.options.query).hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_options_of_bundles_are_checked() {
        for name in ["news", "a", "0-9_z"] {
            assert!(name.parse::<BundleName>().is_ok(), "{name}");
        }
        for name in ["", "News", "a b", "a/b", "a.b", "é"] {
            assert!(name.parse::<BundleName>().is_err(), "{name}");
        }
        for (options, part) in [
            ("limit=0", "must be a number of posts"),
            ("match=/(/", "unclosed group"),
            ("before=5", "`before`"),
            ("ids=number", "`ids` with numbers"),
            ("mach=x", "did you mean `match`?"),
        ] {
            let reason = options.parse::<BundleOptions>().unwrap_err();
            assert!(reason.contains(part), "{options}: {reason}");
        }
        let names = (0..=MAX_CHANNELS).map(|n| ChannelName::new(&format!("name_{n}")).unwrap()).collect();
        assert!(BundleChannels::new(names).is_err() && BundleChannels::new(Vec::new()).is_err());
    }
}
