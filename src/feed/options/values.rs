//! The values of options: names that stand for variants, lists of names, numbers and durations.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::model::paging::MAX_POSTS_PER_PAGE;

/// The longest duration of an option, 100 years: more than the age of any post.
const MAX_SECONDS: i64 = 100 * 365 * 86_400;

/// The units of durations, the longest first, in seconds.
const UNITS: [(char, i64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The most tags of one feed.
const MAX_TAGS: usize = 32;

/// The longest tag, in bytes. Telegram's own limit is lower.
const MAX_TAG_BYTES: usize = 256;

/// A value that has a name in URLs.
pub trait Choice: Copy + Ord + 'static {
    /// Every value with its name.
    const ALL: &'static [(&'static str, Self)];

    /// Returns the value with this name.
    #[must_use]
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Returns the name.
    #[must_use]
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }
}

/// Returns the names of all values.
pub(super) fn names<T: Choice>() -> Vec<&'static str> {
    T::ALL.iter().map(|(name, _)| *name).collect()
}

/// Adds a comma-separated list of names to a set; `None` if one of them is unknown.
pub(super) fn add_choices<T: Choice>(set: &mut BTreeSet<T>, list: &str) -> Option<()> {
    let added = list.split(',').map(|name| T::from_name(name.trim()));
    set.extend(added.collect::<Option<Vec<T>>>()?);
    Some(())
}

/// Returns a set as a list of names.
pub(super) fn choices<T: Choice>(set: &BTreeSet<T>) -> Vec<String> {
    joined(set.iter().map(|value| value.name()), ",")
}

/// Returns a value by its name, unless it is the default.
pub(super) fn choice<T: Choice + Default>(value: T) -> Vec<String> {
    if value == T::default() { Vec::new() } else { vec![value.name().to_owned()] }
}

/// Adds a comma-separated list of hashtags to a set. They are compared in lower case and without their sign.
pub(super) fn add_tags(set: &mut BTreeSet<String>, list: &str) -> Option<()> {
    for tag in list.split(',') {
        let tag = tag.trim().trim_start_matches(['#', '$']).to_lowercase();
        let is_tag = !tag.is_empty()
            && tag.len() <= MAX_TAG_BYTES
            && tag.chars().all(|c| !c.is_whitespace() && !c.is_control());
        set.insert(is_tag.then_some(tag)?);
    }
    (set.len() <= MAX_TAGS).then_some(())
}

/// Returns the tags as a list.
pub(super) fn tags(set: &BTreeSet<String>) -> Vec<String> {
    joined(set.iter().map(String::as_str), ",")
}

/// Returns the names as one value; no value without names.
pub(super) fn joined<'a>(names: impl Iterator<Item = &'a str>, separator: &str) -> Vec<String> {
    let list = names.collect::<Vec<_>>().join(separator);
    if list.is_empty() { Vec::new() } else { vec![list] }
}

/// Parses a positive number of posts and clamps it to the maximum.
pub(super) fn limit(text: &str) -> Option<u8> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))?;
    (limit > 0).then(|| u8::try_from(limit).unwrap_or(u8::MAX).min(MAX_POSTS_PER_PAGE))
}

/// Parses a positive duration with one unit, such as `90m`, and clamps it to the maximum.
pub(super) fn duration(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().next_back()?;
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let number = &text[..text.len() - 1];
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| number.parse::<i64>().unwrap_or(i64::MAX))?;
    (number > 0).then(|| SignedDuration::from_secs(number.saturating_mul(seconds).min(MAX_SECONDS)))
}

/// Writes a duration with the longest unit that divides it.
pub(super) fn duration_text(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let (unit, length) = UNITS.into_iter().find(|(_, length)| seconds % length == 0).unwrap_or(('s', 1));
    format!("{}{unit}", seconds / length)
}

/// Returns the name of a time zone in its canonical spelling; empty for UTC.
pub(super) fn zone(text: &str) -> Option<String> {
    let zone = TimeZone::get(text).ok()?;
    Some(if zone == TimeZone::UTC { String::new() } else { zone.iana_name()?.to_owned() })
}
