//! The options of a feed: what a reader asks for in its URL.
//!
//! [`OPTIONS`] is the one table of them. [`FeedOptions::parse`] reads a query, and [`FeedOptions::query`] writes the
//! canonical one: queries that mean the same have one canonical form, and with it one cache entry, one `ETag` and one
//! `rel="self"`.

mod choices;
mod cursor;
mod pattern;
mod table;
mod values;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use thiserror::Error;

use crate::language::Language;
use crate::model::channel::ChannelName;
pub(crate) use pattern::{Term, searchable};

pub use choices::{
    Case, Count, Dedupe, EntryIds, Full, Kind, LinkTarget, MediaChoice, Merge, Part, Spoilers, TitleStyle,
};
pub use cursor::Cursor;
pub use pattern::{MAX_PATTERN_BYTES, Pattern};
pub use table::{FeedOption, OPTIONS, Values};
pub use values::Choice;

/// The digests of a channel's feed without a limit.
pub(crate) const DEFAULT_DIGESTS: usize = 7;

/// The most patterns of one feed.
const MAX_PATTERNS: usize = 20;

/// The options of a feed. The default is the plain feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedOptions {
    /// Only posts older than this one.
    pub before: Option<Cursor>,
    /// The maximum number of entries.
    pub limit: Option<u8>,
    /// Only posts that match one of these, if there are any.
    pub include: BTreeSet<Pattern>,
    /// No posts that match one of these.
    pub exclude: BTreeSet<Pattern>,
    /// Only posts whose title matches one of these, if there are any.
    pub include_title: BTreeSet<Pattern>,
    /// No posts whose title matches one of these.
    pub exclude_title: BTreeSet<Pattern>,
    /// Whether patterns distinguish upper from lower case.
    pub case: Case,
    /// Only posts that contain all of these words, in lower case.
    pub search: BTreeSet<String>,
    /// Only posts with one of these hashtags, if there are any: in lower case, without `#`.
    pub tags: BTreeSet<String>,
    /// Only posts of one of these kinds, if there are any.
    pub only: BTreeSet<Kind>,
    /// No posts of any of these kinds.
    pub without: BTreeSet<Kind>,
    /// Only posts that are at least this old.
    pub min_age: Option<SignedDuration>,
    /// Only posts that are younger than this.
    pub max_age: Option<SignedDuration>,
    /// Which posts of several channels are left out, because the feed has them already.
    pub dedupe: Dedupe,
    /// Whether posts are merged into digests.
    pub merge: Merge,
    /// The name of the time zone of digests; empty for UTC.
    pub zone: String,
    /// Parts that are left out of entries.
    pub hide: BTreeSet<Part>,
    /// Counts that are added to bodies.
    pub show: BTreeSet<Count>,
    /// The counts are written for a page: the results of polls also as bars, the others in small print. Feed readers remove
    /// both.
    pub has_page_counts: bool,
    /// How titles are made.
    pub title: TitleStyle,
    /// Where entries lead.
    pub link: LinkTarget,
    /// How pictures and videos are linked.
    pub media: MediaChoice,
    /// How spoilers are shown.
    pub spoilers: Spoilers,
    /// The content that is added after a post.
    pub full: Full,
    /// The ids of entries.
    pub ids: EntryIds,
    /// The language of the service's own words.
    pub language: Language,
    /// The language of feeds without an option for it.
    pub default_language: Language,
}

/// Why a query is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OptionsError {
    /// A parameter is misspelled.
    #[error("unknown parameter `{typed}`: did you mean `{meant}`?")]
    Misspelled {
        /// The parameter.
        typed: String,
        /// The option that was probably meant.
        meant: &'static str,
    },
    /// An option has an invalid value.
    #[error("invalid `{name}`: must be {must_be}")]
    Value {
        /// The option.
        name: &'static str,
        /// The requirement on its value.
        must_be: String,
    },
    /// A regular expression cannot be compiled.
    #[error("invalid regular expression /{expression}/: {reason}")]
    Regex {
        /// The expression.
        expression: String,
        /// The cause.
        reason: String,
    },
}

impl FeedOptions {
    /// Parses a query. Unknown parameters are ignored, because readers and trackers add their own and some readers stop
    /// polling after a 400; only a misspelled option is an error. Of several values of an option that takes one, the last
    /// counts; empty values are skipped. Regular expressions are not compiled: that is slow, and
    /// [`Filter::new`](super::filter::Filter::new) does it.
    ///
    /// # Errors
    ///
    /// [`OptionsError::Misspelled`] or [`OptionsError::Value`].
    pub fn parse(query: &str) -> Result<Self, OptionsError> {
        Self::parse_over("", query, Language::default())
    }

    /// Parses a query over one with other defaults, on a server whose feeds are in this language by default: an option of
    /// `query`, even with an empty value, replaces that of `defaults`.
    ///
    /// # Errors
    ///
    /// See [`parse`](Self::parse).
    pub fn parse_over(defaults: &str, query: &str, default_language: Language) -> Result<Self, OptionsError> {
        let mut options = Self { language: default_language, default_language, ..Self::default() };
        let own = || url::form_urlencoded::parse(query.as_bytes());
        let kept = url::form_urlencoded::parse(defaults.as_bytes())
            .filter(|(name, _)| own().all(|(replacing, _)| replacing != *name));
        for (name, value) in kept.chain(own()) {
            if let Some(option) = OPTIONS.iter().find(|option| option.name == name) {
                if !value.is_empty() {
                    (option.read)(&mut options, &value).ok_or_else(|| option.invalid())?;
                }
            } else if let Some(option) = OPTIONS.iter().find(|option| is_misspelled(&name, option.name)) {
                return Err(OptionsError::Misspelled { typed: name.into_owned(), meant: option.name });
            }
        }
        options.normalize();
        Ok(options)
    }

    /// Returns the canonical query, without the question mark; empty for the default options.
    #[must_use]
    pub fn query(&self) -> String {
        self.query_over(&Self::default())
    }

    /// Returns the canonical query of a feed that has other defaults.
    #[must_use]
    pub fn query_over(&self, defaults: &Self) -> String {
        let mut query = String::new();
        for option in OPTIONS {
            let mut values = (option.write)(self);
            if values == (option.write)(defaults) {
                continue;
            }
            if values.is_empty() {
                // An empty value is the default of an option whose default has no name.
                values.push(match option.values {
                    Values::OneOf(_) => option.default.to_owned(),
                    Values::ListOf(_) | Values::Text { .. } => String::new(),
                });
            }
            for value in values {
                if !query.is_empty() {
                    query.push('&');
                }
                query.push_str(option.name);
                query.push('=');
                // The characters that need no encoding in a query and are frequent in values.
                for part in url::form_urlencoded::byte_serialize(value.as_bytes()) {
                    query.push_str(match part {
                        "%2C" => ",",
                        "%2F" => "/",
                        "%3A" => ":",
                        part => part,
                    });
                }
            }
        }
        query
    }

    /// Returns whether the query is empty.
    #[must_use]
    pub fn is_default(&self) -> bool {
        let default_language = self.default_language;
        *self == Self { language: default_language, default_language, ..Self::default() }
    }

    /// Returns the options of a feed of one channel, without those that have no effect on it.
    ///
    /// # Errors
    ///
    /// [`OptionsError::Value`] if `before` names another channel.
    pub fn of_channel(mut self, name: &ChannelName) -> Result<Self, OptionsError> {
        if let Some(before) = &mut self.before
            && before.channel.take().is_some_and(|channel| channel != *name)
        {
            let must_be = format!("the number of a post of {name}, as in the post's URL");
            return Err(OptionsError::Value { name: "before", must_be });
        }
        self.dedupe = Dedupe::default();
        self.limit.take_if(|limit| self.merge != Merge::None && usize::from(*limit) == DEFAULT_DIGESTS);
        Ok(self)
    }

    /// Returns the time zone of digests.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC)
    }

    /// Returns whether an entry may need any number of posts, because of a filter or because posts are merged.
    #[must_use]
    pub fn looks_back(&self) -> bool {
        let patterns = [&self.include, &self.exclude, &self.include_title, &self.exclude_title];
        self.merge != Merge::None
            || patterns.iter().any(|patterns| !patterns.is_empty())
            || !self.search.is_empty()
            || !self.tags.is_empty()
            || !self.only.is_empty()
            || !self.without.is_empty()
            || self.min_age.is_some()
            || self.max_age.is_some()
    }

    /// Returns the text of `q`, as Telegram searches it. Words are compared with another sigma at their end than they are
    /// written with.
    #[must_use]
    pub fn search_text(&self) -> Option<String> {
        let written = |word: &String| match word.strip_suffix('σ') {
            Some(start) => format!("{start}ς"),
            None => word.clone(),
        };
        let words: Vec<String> = self.search.iter().map(written).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// Brings options that mean the same into one form.
    fn normalize(&mut self) {
        let patterns =
            [&mut self.include, &mut self.exclude, &mut self.include_title, &mut self.exclude_title];
        if patterns.iter().all(|patterns| patterns.is_empty()) {
            self.case = Case::default();
        }
        if self.merge == Merge::None {
            self.zone.clear();
        }
        if self.case == Case::Insensitive {
            for patterns in patterns {
                *patterns = patterns.iter().map(Pattern::folded).collect();
            }
        }
    }

    fn add_pattern(&mut self, patterns: fn(&mut Self) -> &mut BTreeSet<Pattern>, value: &str) -> Option<()> {
        patterns(self).insert(Pattern::parse(value)?);
        let all = [&self.include, &self.exclude, &self.include_title, &self.exclude_title];
        (all.iter().map(|patterns| patterns.len()).sum::<usize>() <= MAX_PATTERNS).then_some(())
    }
}

impl FeedOption {
    fn invalid(&self) -> OptionsError {
        OptionsError::Value { name: self.name, must_be: self.values.must_be() }
    }
}

/// The shortest option that a key with one wrong character is taken for: `?t=…` and `?id=…` are other parameters.
const MIN_GUESSED_BYTES: usize = 4;

/// Returns whether a key is a parameter with other case or in the plural, or with one character wrong, missing, added or
/// swapped.
fn is_misspelled(key: &str, parameter: &str) -> bool {
    if key.eq_ignore_ascii_case(parameter) || key.strip_suffix('s') == Some(parameter) {
        return true;
    }
    if parameter.len() < MIN_GUESSED_BYTES {
        return false;
    }
    let (key, parameter) = (key.as_bytes(), parameter.as_bytes());
    let same_start = key.iter().zip(parameter).take_while(|(a, b)| a == b).count();
    let (key, parameter) = (&key[same_start..], &parameter[same_start..]);
    match (key, parameter) {
        ([_, key @ ..], [_, parameter @ ..]) if key == parameter => true,
        ([_, rest @ ..], parameter) if rest == parameter => true,
        (key, [_, rest @ ..]) if key == rest => true,
        ([a, b, key @ ..], [c, d, parameter @ ..]) => a == d && b == c && key == parameter,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
