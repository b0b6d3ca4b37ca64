//! One feed of several channels: the entries of their own feeds, newest first, each with the name of its channel.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::build::{MAX_FEED_BYTES, with_reason};
use super::digest::Period;
use super::options::{DEFAULT_DIGESTS, Dedupe, EntryIds, FeedOptions, Merge};
use super::select::{Place, Rest, Selection, origin};
use super::{Entry, Feed, Source, plain_text};
use crate::language::{Language, fill};
use crate::model::channel::ChannelName;
use crate::model::paging::{MAX_POSTS_PER_PAGE, MIN_POSTS_PER_PAGE};
use crate::model::post::PostId;

/// The names that a title has.
const MAX_NAMES_IN_TITLE: usize = 5;

/// Returns how many entries a feed has, whose channels have these numbers of posts on their first feed pages: as many as their
/// own feeds together, unless the reader wants another number.
#[must_use]
pub fn limit(options: &FeedOptions, first_pages: impl Iterator<Item = usize>) -> u8 {
    let own = |n_posts: usize| match options.merge {
        Merge::None => n_posts.max(MIN_POSTS_PER_PAGE),
        Merge::Day | Merge::Week => DEFAULT_DIGESTS,
    };
    let all = || u8::try_from(first_pages.map(own).sum::<usize>()).unwrap_or(u8::MAX).min(MAX_POSTS_PER_PAGE);
    options.limit.unwrap_or_else(all)
}

/// Returns before which moment a feed page has the posts of the channels that come before that of its cursor, and of those
/// that come after it. `at` is the date of the cursor's post.
#[must_use]
pub fn moments_before(at: Timestamp, options: &FeedOptions) -> (Timestamp, Timestamp) {
    match Period::of(at, options) {
        Some(Period { start, end }) => (start, end),
        None => (at, at.saturating_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX)),
    }
}

/// Returns which of these options a feed of several channels cannot have.
#[must_use]
pub fn unsupported(options: &FeedOptions) -> Option<&'static str> {
    matches!(options.ids, EntryIds::Number | EntryIds::Prefix(_)).then_some("`ids` with numbers")
}

/// Returns the title of a feed of channels: one that the operator has chosen, or their names.
#[must_use]
pub fn title(names: &[ChannelName], chosen: Option<&str>, language: Language) -> String {
    let words = &language.words().feed;
    let chosen = chosen.and_then(plain_text::visible_line);
    chosen.unwrap_or_else(|| match names.split_at_checked(MAX_NAMES_IN_TITLE) {
        Some((first, others @ [_, ..])) => {
            words.and_more.replace("{names}", &joined(first, "")).replace("{n}", &others.len().to_string())
        }
        _ => joined(names, ""),
    })
}

/// Begins a feed of channels, without entries. The description begins with `note`.
#[must_use]
pub fn begin(
    names: &[ChannelName],
    title: String,
    home_url: String,
    self_url: String,
    note: &str,
    language: Language,
) -> Feed {
    let words = &language.words().feed;
    Feed {
        title,
        description: format!("{note}{}", fill(words.on_telegram, &[&joined(names, "@")])),
        home_url,
        self_url,
        next_url: None,
        prev_url: None,
        icon: None,
        updated: Timestamp::default(),
        entries: Vec::new(),
    }
}

/// A post, by its place in the order of the feed: the newest first. Of two at once that of the first channel is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    at: Reverse<Timestamp>,
    channel: usize,
    id: Reverse<PostId>,
}

/// An entry in its place.
struct Item {
    position: Position,
    /// The post that it forwards.
    origin: Option<(ChannelName, PostId)>,
    entry: Entry,
}

/// The entries of a feed of several channels, while it is put together.
pub struct Combined {
    feed: Feed,
    items: Vec<Item>,
    limit: usize,
    options: FeedOptions,
    /// The oldest forward of each post.
    forwards: HashMap<(ChannelName, PostId), Position>,
    /// Not all entries after this place are known.
    end: Option<Position>,
}

impl Combined {
    /// Begins with a feed without entries, which gets at most `limit`.
    #[must_use]
    pub fn new(feed: Feed, options: FeedOptions, limit: u8) -> Self {
        let limit = limit.into();
        Self { feed, items: Vec::new(), limit, options, forwards: HashMap::new(), end: None }
    }

    /// Returns the time from which on entries are too old for the feed.
    #[must_use]
    pub fn floor(&self) -> Timestamp {
        let last = self.items.get(self.limit - 1);
        last.map_or(Timestamp::MIN, |last| last.position.at.0)
    }

    /// Adds the entries of a channel's own feed, which has the selected posts. `channel` is its place in the order of the
    /// channels. Of all entries, the newest are kept, as far as they fit into one feed.
    pub fn add(&mut self, channel: usize, name: &ChannelName, selection: &Selection, own: Feed) {
        let source = Source { title: own.title, home_url: own.home_url, feed_url: own.self_url };
        self.feed.updated = self.feed.updated.max(own.updated);
        let position = |place: &Place| Position { at: Reverse(place.at), channel, id: Reverse(place.id) };
        let places: Vec<Place> =
            own.entries.iter().filter_map(|entry| place(entry, selection, &self.options)).collect();
        if let Some(last) =
            places.last().filter(|last| selection.posts.last().is_some_and(|post| post.id < last.id))
        {
            self.end_at(position(last));
        }
        let dedupes = self.options.dedupe == Dedupe::Forwards && self.options.merge == Merge::None;
        for (n, (entry, place)) in own.entries.into_iter().zip(&places).enumerate() {
            let position = position(place);
            let origin = if dedupes { origin(&selection.posts[n]) } else { None };
            if let Some(origin) = &origin {
                let oldest = self.forwards.entry(origin.clone()).or_insert(position);
                *oldest = position.max(*oldest);
            }
            self.items.push(Item { position, origin, entry: with_source(entry, name, &source) });
        }
        self.items.sort_by_key(|item| item.position);
        let forwards = &self.forwards;
        self.items.retain(|item| item.origin.as_ref().is_none_or(|origin| forwards[origin] == item.position));
        let is_cut = self.drop_excess();
        if let Rest::After(lowest) = &selection.rest {
            self.end_at(position(lowest));
        }
        if (is_cut || selection.rest == Rest::TooOld)
            && let Some(last) = self.items.last()
        {
            self.end_at(last.position);
        }
    }

    /// Removes the entries that are too many or too large. Returns whether there were any.
    fn drop_excess(&mut self) -> bool {
        let mut size = 0;
        let fits = |item: &&Item| {
            size += item.entry.size();
            size <= MAX_FEED_BYTES
        };
        let n_fitting = self.items.iter().take(self.limit).take_while(fits).count().max(1);
        let is_cut = self.items.len() > n_fitting;
        self.items.truncate(n_fitting);
        is_cut
    }

    fn end_at(&mut self, position: Position) {
        self.end = Some(self.end.map_or(position, |end| end.min(position)));
    }

    /// Returns the place of a channel and the post after which the next feed page begins, and the date of its entry; `None` if
    /// there are no older posts.
    #[must_use]
    pub fn end(&self) -> Option<(usize, Place)> {
        self.end.map(|Position { at, channel, id }| (channel, Place { id: id.0, at: at.0 }))
    }

    /// Ends the feed: if it has no entries, the description says why.
    #[must_use]
    pub fn finish(self, next_url: Option<String>) -> Feed {
        let Self { mut feed, items, end, options, .. } = self;
        let is_known = |item: &Item| end.is_none_or(|end| item.position <= end);
        feed.entries = items.into_iter().filter(is_known).map(|item| item.entry).collect();
        feed.next_url = next_url;
        if feed.entries.is_empty() {
            feed.description = with_reason(&feed.description, &options);
        }
        feed
    }
}

/// Returns the place of an entry of selected posts. Posts of a period that is too large for a digest have its end as date.
fn place(entry: &Entry, selection: &Selection, options: &FeedOptions) -> Option<Place> {
    let end = |published| Period::of(published, options).map_or(published, |period| period.end);
    let at = if entry.post.is_some() { end(entry.published) } else { entry.published };
    let last = || selection.posts.iter().rfind(|post| end(post.published) == at).map(|post| post.id);
    Some(Place { id: entry.post.or_else(last)?, at })
}

/// Returns what a feed says about channels of which it has no posts; empty if there are none.
#[must_use]
pub fn note(to_come: &[ChannelName], failed: &[ChannelName], language: Language) -> String {
    let words = &language.words().feed;
    let sentence = |start: &str, names: &[ChannelName]| match names {
        [] => String::new(),
        names => format!("{start}{}{}{}", words.colon, joined(names, "@"), words.full_stop),
    };
    sentence(words.still_to_come, to_come) + &sentence(words.cannot_be_read, failed)
}

fn joined(names: &[ChannelName], prefix: &str) -> String {
    names.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>().join(", ")
}

fn with_source(entry: Entry, channel: &ChannelName, source: &Source) -> Entry {
    let author = match &entry.author {
        Some(signature) => format!("{} ({signature})", source.title),
        None => source.title.clone(),
    };
    // Titles may have commas, which no category has.
    let name = channel.to_string();
    let tags = entry.categories.into_iter().filter(|tag| *tag != name);
    let categories = std::iter::once(name.clone()).chain(tags).collect();
    Entry { author: Some(author), categories, source: Some(source.clone()), ..entry }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Format, fixtures, render};
    use crate::model::post::Post;

    fn names(names: &[&str]) -> Vec<ChannelName> {
        names.iter().map(|name| ChannelName::new(name).unwrap()).collect()
    }

    /// Returns the selection of one post at each of these minutes, newest first, and the channel's own feed of them.
    fn own(name: &str, minutes: &[u32]) -> (Selection, Feed) {
        let at = |minute: u32| fixtures::TIME + SignedDuration::from_mins(minute.into());
        let entry = |minute: &u32| Entry {
            id: format!("{name}/{minute}"),
            published: at(*minute),
            post: PostId::new(*minute),
            ..fixtures::entry("text")
        };
        let post = |minute: &u32| Post::empty(PostId::new(*minute).unwrap(), String::new(), at(*minute));
        let self_url = format!("https://feeds.example.org/{name}/rss");
        let feed = fixtures::feed(minutes.iter().map(entry).collect());
        let selection = Selection {
            channel: fixtures::channel(),
            posts: minutes.iter().map(post).collect(),
            deletions: Vec::new(),
            articles: HashMap::new(),
            rest: Rest::Nothing,
            newest: None,
            expires: None,
            n_looked_at: minutes.len(),
            n_bytes: 0,
            too_large: None,
            span: None,
        };
        (selection, Feed { title: format!("The {name}"), self_url, ..feed })
    }

    fn combined(limit: u8) -> Feed {
        let channels = names(&["heron", "kettle"]);
        let url = "https://feeds.example.org/heron,kettle";
        let feed = begin(
            &channels,
            title(&channels, None, Language::English),
            url.into(),
            format!("{url}/rss"),
            "",
            Language::English,
        );
        let mut combined = Combined::new(feed, FeedOptions::default(), limit);
        for (n, minutes) in [[9, 5, 1], [7, 5, 3]].into_iter().enumerate() {
            let (selection, own) = own(channels[n].as_str(), &minutes);
            combined.add(n, &channels[n], &selection, own);
        }
        combined.finish(None)
    }

    #[test]
    fn entries_of_all_channels_are_sorted_by_time() {
        let all = ["heron/9", "kettle/7", "heron/5", "kettle/5", "kettle/3", "heron/1"];
        for limit in [1, 3, 6, 200] {
            let feed = combined(limit);
            let ids: Vec<&str> = feed.entries.iter().map(|entry| &*entry.id).collect();
            assert_eq!(ids, all[..usize::from(limit).min(all.len())], "{limit}");
        }
    }

    #[test]
    fn every_format_names_the_channel_of_an_entry() {
        let written = |format| String::from_utf8(render(&combined(1), format)).unwrap();
        let (rss, atom, json) = (written(Format::Rss), written(Format::Atom), written(Format::Json));
        for (document, part) in [
            (&rss, "<source url=\"https://feeds.example.org/heron/rss\">The heron</source>"),
            (&rss, "<dc:creator>The heron (text)</dc:creator>"),
            (&rss, "<category>heron</category><category>text</category>"),
            (&rss, "<title>heron, kettle</title>"),
            (&atom, "<source><title>The heron</title><id>https://example.org/sample</id>"),
            (
                &atom,
                "<link href=\"https://feeds.example.org/heron/rss\" rel=\"self\" type=\"application/atom+xml\"/>",
            ),
            (&atom, "<author><name>The heron (text)</name></author>"),
            (&json, "\"authors\":[{\"name\":\"The heron (text)\"}],\"tags\":[\"heron\",\"text\"]"),
            (&json, "\"description\":\"@heron, @kettle on Telegram\""),
        ] {
            assert!(document.contains(part), "{part}: {document}");
        }
    }

    #[test]
    fn description_names_the_channels_without_posts() {
        let (to_come, failed) = (names(&["heron", "kettle"]), names(&["otter"]));
        let (en, zh) = (Language::English, Language::Chinese);
        assert_eq!(note(&to_come, &failed, en), "Still to come: @heron, @kettle. Cannot be read: @otter. ");
        assert_eq!(note(&to_come, &failed, zh), "尚未读取：@heron, @kettle。无法读取：@otter。");
        assert_eq!(note(&[], &[], en), "");
        let feed = begin(&failed, title(&failed, None, en), String::new(), String::new(), "Note. ", en);
        let feed = Combined::new(feed, FeedOptions::default(), 1).finish(None);
        assert_eq!(feed.description, "Note. @otter on Telegram");
    }

    #[test]
    fn posts_of_a_period_without_digest_are_in_its_place() {
        let channels = names(&["heron", "kettle"]);
        let en = Language::English;
        let feed = begin(&channels, title(&channels, None, en), String::new(), String::new(), "", en);
        let mut combined = Combined::new(feed, FeedOptions::parse("merge=day").unwrap(), 2);
        let (selection, mut digest) = own("kettle", &[8]);
        let end = Period::of(digest.entries[0].published, &combined.options).unwrap().end;
        (digest.entries[0].published, digest.entries[0].post) = (end, None);
        combined.add(1, &channels[1], &selection, digest);
        let (selection, posts) = own("heron", &[9, 5, 1]);
        combined.add(0, &channels[0], &selection, posts);
        assert_eq!(combined.end(), Some((0, Place { id: PostId::new(5).unwrap(), at: end })));
        let ids: Vec<String> = combined.finish(None).entries.into_iter().map(|entry| entry.id).collect();
        assert_eq!(ids, ["heron/9", "heron/5"], "the next page has the last post, and the digest after it");
    }

    #[test]
    fn entries_that_do_not_fit_into_one_feed_are_left_out() {
        let channels = names(&["heron"]);
        let en = Language::English;
        let feed = begin(&channels, title(&channels, None, en), String::new(), String::new(), "", en);
        let mut combined = Combined::new(feed, FeedOptions::default(), 200);
        let (selection, mut own) = own("heron", &[9, 5, 1]);
        own.entries[0].body = "x".repeat(MAX_FEED_BYTES / 2);
        own.entries[1].body = "x".repeat(MAX_FEED_BYTES / 2);
        combined.add(0, &channels[0], &selection, own);
        assert_eq!(combined.end().map(|(_, place)| place.id.get()), Some(9), "the next page has the others");
        assert_eq!(combined.finish(None).entries.len(), 1);
    }
}
