//! Which channels a service serves: allow-list and deny-list.

use std::str::FromStr;

use crate::model::channel::ChannelName;

/// Which channels are served.
#[derive(Clone, Debug, Default)]
pub struct ChannelFilter {
    /// Only these channels, if set.
    pub allow: Option<ChannelPatterns>,
    /// None of these channels.
    pub deny: Option<ChannelPatterns>,
}

impl ChannelFilter {
    pub(super) fn serves(&self, name: &ChannelName) -> bool {
        let is_allowed = self.allow.as_ref().is_none_or(|allow| allow.matches(name));
        is_allowed && !self.deny.as_ref().is_some_and(|deny| deny.matches(name))
    }

    /// Returns the first channel of the allow-list that is served; `None` if the list has only patterns.
    pub(super) fn first_allowed(&self) -> Option<ChannelName> {
        let mut names =
            self.allow.iter().flat_map(|allow| &allow.0).filter_map(|name| ChannelName::new(name));
        names.find(|name| self.serves(name))
    }
}

/// Channel names in which `*` stands for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelPatterns(Vec<String>);

impl FromStr for ChannelPatterns {
    type Err = String;

    /// Parses a comma-separated list of patterns.
    fn from_str(list: &str) -> Result<Self, String> {
        let pattern = |pattern: &str| {
            let pattern = pattern.trim().trim_start_matches('@').to_ascii_lowercase();
            let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'*');
            (!pattern.is_empty() && pattern.bytes().all(is_valid))
                .then_some(pattern)
                .ok_or_else(|| "must be channel names, such as durov or news_*".to_owned())
        };
        list.split(',').map(pattern).collect::<Result<_, _>>().map(Self)
    }
}

impl ChannelPatterns {
    fn matches(&self, name: &ChannelName) -> bool {
        let name = name.as_str().to_ascii_lowercase();
        self.0.iter().any(|pattern| matches_pattern(pattern, &name))
    }
}

fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_allowed_channel_is_one_that_is_served() {
        for (allow, deny, first) in [
            (None, None, None),
            (Some("news_*"), None, None),
            (Some("news_*,Durov,telegram"), None, Some("durov")),
            (Some("durov,telegram"), Some("durov"), Some("telegram")),
        ] {
            let parse = |list: Option<&str>| list.map(|list| list.parse().unwrap());
            let filter = ChannelFilter { allow: parse(allow), deny: parse(deny) };
            assert_eq!(filter.first_allowed(), first.and_then(ChannelName::new), "{allow:?} {deny:?}");
        }
    }

    #[test]
    fn an_asterisk_matches_any_characters() {
        for (pattern, name, matches) in [
            ("durov", "Durov", true),
            ("@durov", "durov", true),
            ("durov", "durov2", false),
            ("news_*", "news_", true),
            ("news_*", "news_of_today", true),
            ("news_*", "my_news_", false),
            ("*news*", "my_news_today", true),
            ("*_bot", "some_bot", true),
            ("*_bot", "some_bots", false),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "axxcxxb", false),
            ("ab*bc", "abcd", false),
            ("abc*bcd", "abcd", false),
            ("*", "anything", true),
        ] {
            let patterns: ChannelPatterns = pattern.parse().unwrap();
            assert_eq!(patterns.matches(&ChannelName::new(name).unwrap()), matches, "{pattern} {name}");
        }
        for invalid in ["", "a,,b", "a b", "t.me/durov"] {
            assert!(invalid.parse::<ChannelPatterns>().is_err(), "{invalid}");
        }
    }
}
