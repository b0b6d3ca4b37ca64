//! The feed that an old URL means.

use std::mem;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::table::Ids;
use crate::feed::options::FeedOptions;
use crate::feed::{Format, filter};
use crate::model::channel::ChannelName;
use crate::telegram::url::channel_url;

/// Characters of a query that are encoded: all but those that URLs may contain and that no parser takes apart.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/')
    .remove(b',')
    .remove(b':');

/// Options whose values are lists.
const LISTS: [&str; 3] = ["hide", "without", "tag"];

/// Filters that are looked at. A feed accepts fewer patterns.
const MAX_FILTERS: usize = 32;

/// Parameters without a counterpart that are named.
const MAX_LOST: usize = 16;

/// Characters of such a parameter.
const MAX_LOST_CHARS: usize = 32;

/// The feed of telewire that a URL of another bridge means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The channels; at least one.
    pub channels: Vec<ChannelName>,
    /// The format; `None` for the page of a channel.
    pub format: Option<Format>,
    /// The access token in the URL.
    pub token: Option<String>,
    /// Parameters that have no counterpart, as plain names.
    pub lost: Vec<String>,
    options: Vec<(&'static str, String)>,
    filters: Vec<Filter>,
}

/// An option that searches texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) option: &'static str,
    pub(super) text: String,
    pub(super) is_regex: bool,
    pub(super) is_case_sensitive: bool,
}

impl Moved {
    pub(super) fn new(channels: Vec<ChannelName>, format: Option<Format>) -> Self {
        Self { channels, format, token: None, lost: Vec::new(), options: Vec::new(), filters: Vec::new() }
    }

    /// Returns one feed of all channels; `None` without feeds. Options that not all of them have are lost.
    pub(super) fn merged(feeds: Vec<Self>) -> Option<Self> {
        feeds.into_iter().reduce(|mut merged, feed| {
            let is_same = (&merged.options, &merged.filters) == (&feed.options, &feed.filters);
            if !is_same {
                let options = merged.options.drain(..).chain(feed.options).map(|(option, _)| option);
                let filters = merged.filters.drain(..).chain(feed.filters).map(|filter| filter.option);
                for option in options.chain(filters).collect::<Vec<_>>() {
                    merged.lose(option);
                }
            }
            for lost in feed.lost {
                merged.lose(&lost);
            }
            for channel in feed.channels {
                if !merged.channels.contains(&channel) {
                    merged.channels.push(channel);
                }
            }
            merged
        })
    }

    /// Adds a value to a list, or sets another option unless it is set already.
    pub(super) fn set(&mut self, option: &'static str, value: String) {
        match self.options.iter_mut().find(|(known, _)| *known == option) {
            Some((_, list)) if LISTS.contains(&option) => {
                if !list.split(',').any(|known| known == value) {
                    list.push(',');
                    list.push_str(&value);
                }
            }
            Some(_) => {}
            None => self.options.push((option, value)),
        }
    }

    /// Adds a filter. A second one that selects posts would select more of them instead of fewer, so it is lost.
    pub(super) fn filter(&mut self, parameter: &str, filter: Filter) {
        let is_second = filter.option.starts_with("match")
            && self.filters.iter().any(|known| known.option == filter.option);
        if is_second { self.lose(parameter) } else { self.filters.push(filter) }
    }

    pub(super) fn set_ids(&mut self, ids: Ids, written: &str) {
        let value = match ids {
            Ids::Named(name) => name.to_owned(),
            Ids::AsWritten => channel_url(written.trim_start_matches('@')) + "/",
        };
        self.set("ids", value);
    }

    /// Returns the feed as RSS-Bridge writes it: with its own format and ids. The token is for another service.
    pub(super) fn nested(mut self, format: Option<Format>) -> Self {
        self.options.retain(|(option, _)| *option != "ids");
        Self { format, token: None, ..self }
    }

    /// Drops the filters that no feed accepts, such as expressions with look-around: they have no counterpart.
    pub(super) fn validated(mut self) -> Self {
        let is_accepted = |moved: &Self| {
            FeedOptions::parse(&moved.query()).is_ok_and(|options| filter::Filter::new(&options).is_ok())
        };
        if self.filters.is_empty() || is_accepted(&self) {
            return self;
        }
        for (n, filter) in mem::take(&mut self.filters).into_iter().enumerate() {
            let option = filter.option;
            self.filters.push(filter);
            if n >= MAX_FILTERS || !is_accepted(&self) {
                self.filters.pop();
                self.lose(option);
            }
        }
        self
    }

    /// Notes a parameter that has no counterpart.
    pub(super) fn lose(&mut self, parameter: &str) {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name: String = parameter.chars().filter(is_plain).take(MAX_LOST_CHARS).collect();
        if !name.is_empty() && self.lost.len() < MAX_LOST && !self.lost.contains(&name) {
            self.lost.push(name);
        }
    }

    /// Returns the canonical path of the feed, or of the channel's page.
    #[must_use]
    pub fn path(&self) -> String {
        let mut names: Vec<String> =
            self.channels.iter().map(|name| name.as_str().to_ascii_lowercase()).collect();
        names.sort();
        let names = names.join(",");
        self.format.map_or_else(|| format!("/{names}"), |format| format!("/{names}/{}", format.name()))
    }

    /// Returns the query with the options, without the question mark; empty if there are none.
    #[must_use]
    pub fn query(&self) -> String {
        let is_case_sensitive = self.filters.iter().any(|filter| filter.is_case_sensitive);
        let filters = self.filters.iter().map(|filter| (filter.option, filter.value(is_case_sensitive)));
        let case = is_case_sensitive.then(|| ("case", "sensitive".to_owned()));
        let options = self.options.iter().cloned().chain(filters).chain(case);
        let encode = |(option, value): (&str, String)| {
            let value = utf8_percent_encode(&value, ENCODED).to_string();
            format!("{option}={}", value.replace("%20", "+"))
        };
        // The page of a channel has no options.
        options.filter(|_| self.format.is_some()).map(encode).collect::<Vec<_>>().join("&")
    }

    /// Returns the canonical path and query.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        let query = self.query();
        if query.is_empty() { self.path() } else { format!("{}?{query}", self.path()) }
    }
}

impl Filter {
    /// Returns the value of the option: `/regular expression/`, word or `"phrase"`. With `case=sensitive`, what ignores case
    /// has to say so.
    fn value(&self, is_case_sensitive: bool) -> String {
        let ignores_case = is_case_sensitive && !self.is_case_sensitive;
        let flag = if ignores_case { "(?i)" } else { "" };
        let text = &self.text;
        let needs_quotes = text.contains(char::is_whitespace) || text.starts_with(['/', '"']);
        if self.is_regex {
            format!("/{flag}{text}/")
        } else if ignores_case || (needs_quotes && text.contains('"')) {
            format!("/{flag}{}/", escaped(text))
        } else if needs_quotes {
            format!("\"{text}\"")
        } else {
            text.clone()
        }
    }
}

/// Escapes a text for a regular expression.
pub(super) fn escaped(text: &str) -> String {
    let is_special = |c: &char| r"\.+*?()|[]{}^$#&-~".contains(*c);
    text.chars().flat_map(|c| is_special(&c).then_some('\\').into_iter().chain([c])).collect()
}
