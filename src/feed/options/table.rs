//! The table of options. The parser, the canonical query, the documentation and the form of the feed builder come from it.

use std::collections::BTreeSet;

use super::FeedOptions;
use super::choices::{
    Case, Count, Dedupe, EntryIds, Full, Kind, LinkTarget, MediaChoice, Merge, Part, Spoilers, TitleStyle,
};
use super::cursor::Cursor;
use super::pattern::{Pattern, words};
use super::values::{
    Choice, add_choices, add_tags, choice, choices, duration, duration_text, joined, limit, names, tags, zone,
};
use crate::language::Language;

/// One option, which is a parameter of a feed's URL.
pub struct FeedOption {
    /// The name of the parameter.
    pub name: &'static str,
    /// The possible values.
    pub values: Values,
    /// The default.
    pub default: &'static str,
    /// One sentence that says what the option does.
    pub meaning: &'static str,
    /// An example: a query.
    pub example: &'static str,
    /// Sets the option to a value; `None` if the value is invalid.
    pub(super) read: fn(&mut FeedOptions, &str) -> Option<()>,
    /// Returns the canonical values; none for the default.
    pub(super) write: fn(&FeedOptions) -> Vec<String>,
}

impl FeedOption {
    /// Returns the canonical values; none for the default.
    #[must_use]
    pub fn values_in(&self, options: &FeedOptions) -> Vec<String> {
        (self.write)(options)
    }

    /// Returns the value of the option in its example.
    #[must_use]
    pub fn example_value(&self) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.example.as_bytes());
        pairs.find(|(name, _)| name == self.name).map(|(_, value)| value.into_owned())
    }
}

/// The possible values of an option.
#[derive(Clone, Copy)]
pub enum Values {
    /// One of these names; the first is the default.
    OneOf(fn() -> Vec<&'static str>),
    /// A comma-separated list of these names.
    ListOf(fn() -> Vec<&'static str>),
    /// A text. The parameter may be repeated if `repeated`.
    Text {
        /// The placeholder of the value in documentation.
        placeholder: &'static str,
        /// The requirement on the value, as in "must be a number".
        must_be: &'static str,
        /// The parameter may be repeated.
        repeated: bool,
    },
}

impl Values {
    /// Returns the values as they are documented.
    #[must_use]
    pub fn documented(self) -> String {
        match self {
            Self::OneOf(names) | Self::ListOf(names) => names().join(", "),
            Self::Text { placeholder, .. } => placeholder.to_owned(),
        }
    }

    /// Returns what a value must be.
    pub(super) fn must_be(self) -> String {
        match self {
            Self::OneOf(names) => format!("one of {}", names().join(", ")),
            Self::ListOf(names) => format!("a comma-separated list of {}", names().join(", ")),
            Self::Text { must_be, .. } => must_be.to_owned(),
        }
    }
}

const PATTERN: Values = Values::Text {
    placeholder: "words, \"phrases\" or /regular expression/",
    must_be: "words, \"phrases\" or a /regular expression/, at most 512 bytes, and at most 20 in one URL",
    repeated: true,
};

const DURATION: Values = Values::Text {
    placeholder: "30m, 12h, 7d, 2w",
    must_be: "a duration with one unit, such as 90s, 30m, 12h, 7d or 2w",
    repeated: false,
};

/// Every option, in the order of the canonical query.
pub const OPTIONS: &[FeedOption] = &[
    FeedOption {
        name: "before",
        values: Values::Text {
            placeholder: "ID, CHANNEL/ID",
            must_be: "the number of a post, as in the post's URL, or CHANNEL/ID in a feed of several channels",
            repeated: false,
        },
        default: "the newest posts",
        meaning: "Posts older than this one; in a feed of several channels it has to name one of them.",
        example: "before=1234",
        read: |options, value| set(&mut options.before, value.parse().ok().map(Some)),
        write: |options| options.before.iter().map(Cursor::to_string).collect(),
    },
    FeedOption {
        name: "limit",
        values: Values::Text {
            placeholder: "1 to 200",
            must_be: "a number of posts, at least 1 (at most 200 are returned)",
            repeated: false,
        },
        default: "20, and all of the last 26 hours",
        meaning: "The number of entries, counted after all filters.",
        example: "limit=50",
        read: |options, value| set(&mut options.limit, limit(value).map(Some)),
        write: |options| options.limit.iter().map(u8::to_string).collect(),
    },
    FeedOption {
        name: "q",
        values: Values::Text { placeholder: "TEXT", must_be: "a text of at most 512 bytes", repeated: false },
        default: "all posts",
        meaning: "A search: only posts with all of these words, in any order and any case, or that Telegram's own search finds for them.",
        example: "q=low+tide",
        read: |options, value| set(&mut options.search, words(value)),
        write: |options| joined(options.search.iter().map(String::as_str), " "),
    },
    FeedOption {
        name: "match",
        values: PATTERN,
        default: "all posts",
        meaning: "Only posts whose text, links, names or previews contain all of these words; repeat it for alternatives.",
        example: "match=rust+release",
        read: |options, value| options.add_pattern(|options| &mut options.include, value),
        write: |options| patterns(&options.include),
    },
    FeedOption {
        name: "exclude",
        values: PATTERN,
        default: "none",
        meaning: "No posts that `match` with the same value would find.",
        example: "exclude=casino&exclude=/bonus\\s+codes?/",
        read: |options, value| options.add_pattern(|options| &mut options.exclude, value),
        write: |options| patterns(&options.exclude),
    },
    FeedOption {
        name: "match-title",
        values: PATTERN,
        default: "all posts",
        meaning: "Like `match`, for the title of the entry.",
        example: "match-title=\"breaking news\"",
        read: |options, value| options.add_pattern(|options| &mut options.include_title, value),
        write: |options| patterns(&options.include_title),
    },
    FeedOption {
        name: "exclude-title",
        values: PATTERN,
        default: "none",
        meaning: "Like `exclude`, for the title of the entry.",
        example: "exclude-title=digest",
        read: |options, value| options.add_pattern(|options| &mut options.exclude_title, value),
        write: |options| patterns(&options.exclude_title),
    },
    FeedOption {
        name: "case",
        values: Values::OneOf(names::<Case>),
        default: "insensitive",
        meaning: "Whether the four options above (not `q`) distinguish upper from lower case.",
        example: "match=TON&case=sensitive",
        read: |options, value| set(&mut options.case, Case::from_name(value)),
        write: |options| choice(options.case),
    },
    FeedOption {
        name: "tag",
        values: Values::Text {
            placeholder: "a,b",
            must_be: "a comma-separated list of at most 32 hashtags",
            repeated: false,
        },
        default: "all posts",
        meaning: "Only posts with one of these hashtags.",
        example: "tag=release,security",
        read: |options, value| add_tags(&mut options.tags, value),
        write: |options| tags(&options.tags),
    },
    FeedOption {
        name: "only",
        values: Values::ListOf(names::<Kind>),
        default: "all kinds",
        meaning: "Only posts of one of these kinds; `text` has no other content, `ad` is marked as an advertisement.",
        example: "only=photo,video",
        read: |options, value| add_choices(&mut options.only, value),
        write: |options| choices(&options.only),
    },
    FeedOption {
        name: "without",
        values: Values::ListOf(names::<Kind>),
        default: "none",
        meaning: "No posts of any of these kinds.",
        example: "without=forward,ad,service",
        read: |options, value| add_choices(&mut options.without, value),
        write: |options| choices(&options.without),
    },
    FeedOption {
        name: "min-age",
        values: DURATION,
        default: "all posts",
        meaning: "Only posts older than this, for example to wait for corrections.",
        example: "min-age=30m",
        read: |options, value| set(&mut options.min_age, duration(value).map(Some)),
        write: |options| options.min_age.into_iter().map(duration_text).collect(),
    },
    FeedOption {
        name: "max-age",
        values: DURATION,
        default: "all posts",
        meaning: "Only posts younger than this.",
        example: "max-age=7d",
        read: |options, value| set(&mut options.max_age, duration(value).map(Some)),
        write: |options| options.max_age.into_iter().map(duration_text).collect(),
    },
    FeedOption {
        name: "dedupe",
        values: Values::OneOf(names::<Dedupe>),
        default: "none",
        meaning: "In a feed of several channels, leaves out forwards of posts of these channels, and second forwards of one post, except in digests.",
        example: "dedupe=forwards",
        read: |options, value| set(&mut options.dedupe, Dedupe::from_name(value)),
        write: |options| choice(options.dedupe),
    },
    FeedOption {
        name: "merge",
        values: Values::OneOf(names::<Merge>),
        default: "none",
        meaning: "A digest: one entry for each day or week, which appears when it is over; `limit` (7 by default) counts these.",
        example: "merge=day&limit=14",
        read: |options, value| set(&mut options.merge, Merge::from_name(value)),
        write: |options| choice(options.merge),
    },
    FeedOption {
        name: "tz",
        values: Values::Text {
            placeholder: "Area/City",
            must_be: "a time zone, such as Europe/Berlin or Asia/Tehran",
            repeated: false,
        },
        default: "UTC",
        meaning: "The time zone in which the days of `merge` begin.",
        example: "merge=day&tz=Asia/Tehran",
        read: |options, value| set(&mut options.zone, zone(value)),
        write: |options| Some(options.zone.clone()).filter(|zone| !zone.is_empty()).into_iter().collect(),
    },
    FeedOption {
        name: "hide",
        values: Values::ListOf(names::<Part>),
        default: "nothing",
        meaning: "Leaves parts out of entries.",
        example: "hide=preview,buttons",
        read: |options, value| add_choices(&mut options.hide, value),
        write: |options| choices(&options.hide),
    },
    FeedOption {
        name: "show",
        values: Values::ListOf(names::<Count>),
        default: "nothing",
        meaning: "Adds counts to bodies, which change all the time: the feed changes with them, and some readers show a post again.",
        example: "show=views,reactions",
        read: |options, value| add_choices(&mut options.show, value),
        write: |options| choices(&options.show),
    },
    FeedOption {
        name: "title",
        values: Values::OneOf(names::<TitleStyle>),
        default: "auto",
        meaning: "Titles: the first line that says something, the first line as it is, the kind before it, or none.",
        example: "title=kind",
        read: |options, value| set(&mut options.title, TitleStyle::from_name(value)),
        write: |options| choice(options.title),
    },
    FeedOption {
        name: "link",
        values: Values::OneOf(names::<LinkTarget>),
        default: "post",
        meaning: "Where entries lead: the post's page, the channel's preview at the post, or the app.",
        example: "link=app",
        read: |options, value| set(&mut options.link, LinkTarget::from_name(value)),
        write: |options| choice(options.link),
    },
    FeedOption {
        name: "media",
        values: Values::OneOf(names::<MediaChoice>),
        default: "auto",
        meaning: "How media are sent: as by default, streamed, by redirects, by Telegram's own URLs (which expire), or as links to the post.",
        example: "media=none",
        read: |options, value| set(&mut options.media, MediaChoice::from_name(value)),
        write: |options| choice(options.media),
    },
    FeedOption {
        name: "spoilers",
        values: Values::OneOf(names::<Spoilers>),
        default: "fold",
        meaning: "Folds spoilers, masks them (for readers that show folded text), or shows them.",
        example: "spoilers=mask",
        read: |options, value| set(&mut options.spoilers, Spoilers::from_name(value)),
        write: |options| choice(options.spoilers),
    },
    FeedOption {
        name: "lang",
        values: Values::OneOf(language_names),
        default: "auto",
        meaning: "The language of our own words, such as \"Forwarded from\" and \"Photo\": the server's, or this one.",
        example: "lang=ru",
        read: |options, value| {
            let language =
                if value == "auto" { options.default_language } else { Language::from_subtag(value)? };
            set(&mut options.language, Some(language))
        },
        write: |options| {
            let is_chosen = options.language != options.default_language;
            is_chosen.then(|| options.language.subtag().to_owned()).into_iter().collect()
        },
    },
    FeedOption {
        name: "full",
        values: Values::OneOf(names::<Full>),
        default: "none",
        meaning: "`telegraph`: posts that link to articles on telegra.ph carry them whole, below their own text.",
        example: "full=telegraph",
        read: |options, value| set(&mut options.full, Full::from_name(value)),
        write: |options| choice(options.full),
    },
    FeedOption {
        name: "ids",
        values: Values::Text {
            placeholder: "permalink, preview, number, bare, URL",
            must_be: "permalink, preview, number, bare, or the URL before the post's number",
            repeated: false,
        },
        default: "permalink",
        meaning: "Ids of entries like another bridge's, so that a feed that has moved shows nothing twice.",
        example: "ids=number",
        read: |options, value| set(&mut options.ids, EntryIds::parse(value)),
        write: |options| options.ids.text(),
    },
];

fn language_names() -> Vec<&'static str> {
    std::iter::once("auto").chain(Language::ALL.map(Language::subtag)).collect()
}

/// Sets an option; `None` if the value is invalid.
fn set<T>(option: &mut T, value: Option<T>) -> Option<()> {
    *option = value?;
    Some(())
}

fn patterns(patterns: &BTreeSet<Pattern>) -> Vec<String> {
    patterns.iter().map(Pattern::to_string).collect()
}
