//! The feed builder: the URL of the feed, and the options of the feed as a form that leads to the page with these options.

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::request::PageRequest;
use super::view::View;
use crate::feed::Format;
use crate::feed::options::{FeedOption, FeedOptions, OPTIONS, Values};
use crate::language::{PageWords, fill};
use crate::web::middleware::access::TOKEN_PREFIX;
use crate::web::query;

/// Options that decide which posts are in the feed.
const FILTERS: [&str; 13] = [
    "q",
    "tag",
    "match",
    "exclude",
    "only",
    "without",
    "match-title",
    "exclude-title",
    "case",
    "min-age",
    "max-age",
    "dedupe",
    "limit",
];

/// Options that a form has no use for: the page has links for them.
const LEFT_OUT: [&str; 2] = ["before", query::LANGUAGE];

/// Feed readers on the web, and the URLs at which they subscribe.
const READERS: [(&str, &str); 5] = [
    ("Feedly", "https://feedly.com/i/subscription/feed/"),
    ("Inoreader", "https://www.inoreader.com/?add_feed="),
    ("NewsBlur", "https://www.newsblur.com/?url="),
    ("Feedbin", "https://feedbin.com/?subscribe="),
    ("The Old Reader", "https://theoldreader.com/feeds/subscribe?url="),
];

/// Feed readers on a person's own server, and their paths.
const OWN_READERS: [(&str, &str); 3] = [
    ("Miniflux", "/bookmarklet?uri="),
    ("FreshRSS", "/i/?c=feed&a=add&url_rss="),
    ("Nextcloud News", "/apps/news/?subscribe_to="),
];

/// A feed as the builder shows it.
pub(super) struct Built<'a> {
    /// The request for the page.
    pub(super) request: &'a PageRequest,
    /// The path of the page, without a slash.
    pub(super) path: &'a str,
    /// The base URL of feeds, with the token if the page's URL has it.
    pub(super) base_url: &'a str,
    /// The start of links to feeds.
    pub(super) root: String,
    /// The query of the page.
    pub(super) view: &'a View,
}

impl Built<'_> {
    /// Returns the path of the feed in a format, without a slash, and its query.
    fn feed_path(&self, format: Format) -> String {
        let mut options = FeedOptions { before: None, ..self.view.options.clone() };
        options.language = self.request.chosen_language.unwrap_or(options.language);
        let query = options.query_over(&self.view.defaults);
        let separator = if query.is_empty() { "" } else { "?" };
        format!("{}/{}{separator}{query}", self.path, format.name())
    }

    fn format(&self) -> Format {
        self.view.format.unwrap_or(Format::Rss)
    }

    /// Returns the link to the feed in a format.
    fn feed_link(&self, format: Format) -> String {
        format!("{}{}", self.root, self.feed_path(format))
    }

    /// Returns the links to the feeds for the page's head.
    pub(super) fn alternates(&self, title: &str) -> Markup {
        html! {
            @for format in Format::ALL {
                @let mime_type = format.content_type().split(';').next().unwrap_or_default();
                link rel="alternate" type=(mime_type) title={ (title) " (" (format.label()) ")" } href=(self.feed_link(format));
            }
        }
    }

    /// Returns the builder.
    pub(super) fn builder(&self) -> Markup {
        let words = self.request.words();
        let url = format!("{}/{}", self.base_url, self.feed_path(self.format()));
        html! {
            aside.builder aria-labelledby="feed" {
                h2 #feed { (words.feed) }
                p { label for="feed-url" { (words.feed_help) } }
                div.copy {
                    input id="feed-url" readonly dir="ltr" value=(url);
                    button type="button" data-copy="feed-url" data-done=(words.copied) hidden { (words.copy) }
                }
                @if self.request.is_private && !self.base_url.contains(TOKEN_PREFIX) { p.note { (words.with_token) } }
                p.formats {
                    @for format in Format::ALL { a href=(self.feed_link(format)) { (format.label()) } }
                }
                (subscribe(words, &url))
                (self.form())
            }
        }
    }

    fn form(&self) -> Markup {
        let (request, words) = (self.request, self.request.words());
        let page = request.link(self.path);
        let is_shown = |option: &&FeedOption| !LEFT_OUT.contains(&option.name);
        let filters = || FILTERS.iter().filter_map(|name| OPTIONS.iter().find(|option| option.name == *name));
        let others = || OPTIONS.iter().filter(is_shown).filter(|option| !FILTERS.contains(&option.name));
        let is_set = |option: &FeedOption| {
            option.values_in(&self.view.options) != option.values_in(&self.view.defaults)
        };
        html! {
            form.stacked method="get" action=(page) {
                h3 { (words.options) }
                details open[filters().any(is_set)] {
                    summary { (words.filters) }
                    @for option in filters() { (self.control(words, option)) }
                }
                details open[others().any(is_set)] {
                    summary { (words.appearance) }
                    @for option in others() { (self.control(words, option)) }
                }
                label for="format" { (words.format) }
                select id="format" name="format" {
                    @for format in Format::ALL {
                        option value=(format.name()) selected[format == self.format()] { (format.label()) }
                    }
                }
                (request.language_field())
                div.actions {
                    button { (words.apply) }
                    a href=(page) { (words.reset) }
                }
            }
        }
    }

    /// Returns the control of an option.
    fn control(&self, words: &PageWords, option: &FeedOption) -> Markup {
        let id = format!("option-{}", option.name);
        let label = words.option(option.name);
        let values = option.values_in(&self.view.options);
        let value_label = |value| words.value(option.name, value);
        match option.values {
            Values::OneOf(names) => html! {
                label for=(id) { (label) }
                select id=(id) name=(option.name) {
                    @for (n, name) in names().into_iter().enumerate() {
                        option value=(if n == 0 { "" } else { name }) selected[values.iter().any(|value| value == name)] {
                            (value_label(name))
                        }
                    }
                }
            },
            Values::ListOf(names) => html! {
                fieldset {
                    legend { (label) }
                    // A browser sends nothing for a list without a checked box, so this field replaces the list of the bundle.
                    @if !option.values_in(&self.view.defaults).is_empty() { input type="hidden" name=(option.name); }
                    @for name in names() {
                        label.check {
                            input type="checkbox" name=(option.name) value=(name)
                                checked[values.iter().any(|list| list.split(',').any(|value| value == name))];
                            (value_label(name))
                        }
                    }
                }
            },
            Values::Text { .. } => html! {
                label for=(id) { (label) }
                input id=(id) name=(option.name) dir="auto" value=[values.first()] placeholder=[option.example_value()];
                @for value in values.iter().skip(1) {
                    input name=(option.name) aria-label=(label) dir="auto" value=(value);
                }
            },
        }
    }
}

/// Returns the links that subscribe in a feed reader. Readers on a person's own server need its address, which the script
/// keeps in the browser.
fn subscribe(words: &PageWords, url: &str) -> Markup {
    let encoded = utf8_percent_encode(url, NON_ALPHANUMERIC).to_string();
    let without_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    html! {
        details.subscribe {
            summary { (words.subscribe_with) }
            ul {
                @for (name, base) in READERS { li { a href={ (base) (encoded) } rel="noopener" { (name) } } }
                li { a href={ "feed://" (without_scheme) } { (words.feed_reader) } }
            }
            @for (name, path) in OWN_READERS {
                @let id = format!("own-{}", name.to_lowercase().replace(' ', "-"));
                form.own data-path=(path) data-feed=(url) hidden {
                    label for=(id) { (fill(words.own_host, &[name])) }
                    input id=(id) type="url" placeholder="https://reader.example.org" dir="ltr" required;
                    button { (name) }
                }
            }
            p.note.own-help hidden { (words.own_host_help) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn every_option_and_value_has_a_label_in_every_language() {
        for language in Language::ALL {
            let words = &language.words().page;
            for option in OPTIONS.iter().filter(|option| !LEFT_OUT.contains(&option.name)) {
                let labels = words.option_labels.iter().filter(|(name, _)| *name == option.name);
                assert_eq!(labels.count(), 1, "{language:?} {}", option.name);
                if let Values::OneOf(names) | Values::ListOf(names) = option.values {
                    for name in names() {
                        let keys = [format!("{}={name}", option.name), name.to_owned()];
                        let has_label =
                            words.value_labels.iter().any(|(key, _)| keys.iter().any(|own| own == key));
                        assert!(has_label, "{language:?} {}={name}", option.name);
                    }
                }
            }
        }
    }
}
