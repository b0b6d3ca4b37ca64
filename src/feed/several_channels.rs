//! One feed of several channels: the entries of their own feeds, newest first, each with the name of its channel.

use std::cmp::Reverse;

use super::build::{MAX_FEED_BYTES, TTL_MINUTES, with_reason};
use super::{Entry, Feed, Source};
use crate::language::{Language, fill};
use crate::model::channel::ChannelName;
use crate::model::paging::MAX_POSTS_PER_PAGE;

/// The names that a title has.
const MAX_NAMES_IN_TITLE: usize = 5;

/// Begins a feed of channels, without entries. The description begins with `note`.
#[must_use]
pub fn begin(
    names: &[ChannelName],
    home_url: String,
    self_url: String,
    note: &str,
    language: Language,
) -> Feed {
    let words = &language.words().feed;
    let title = match names.split_at_checked(MAX_NAMES_IN_TITLE) {
        Some((first, others @ [_, ..])) => {
            words.and_more.replace("{names}", &joined(first, "")).replace("{n}", &others.len().to_string())
        }
        _ => joined(names, ""),
    };
    Feed {
        author: title.clone(),
        title,
        description: format!("{note}{}", fill(words.on_telegram, &[&joined(names, "@")])),
        home_url,
        self_url,
        next_url: None,
        prev_url: None,
        icon: None,
        updated: jiff::Timestamp::default(),
        ttl_minutes: TTL_MINUTES,
        entries: Vec::new(),
    }
}

/// Adds the entries of a channel's own feed. Of all entries, the newest `limit` are kept, as far as they fit into one feed.
/// Without a limit these are as many as the largest page of one channel has.
pub fn add(feed: &mut Feed, channel: &ChannelName, own: Feed, limit: Option<u8>) {
    let source = Source { title: own.title, home_url: own.home_url, feed_url: own.self_url };
    feed.updated = feed.updated.max(own.updated);
    feed.entries.extend(own.entries.into_iter().map(|entry| with_source(entry, channel, &source)));
    // Entries of the same time keep the order of their channels.
    feed.entries.sort_by_key(|entry| Reverse(entry.published));
    feed.entries.truncate(limit.unwrap_or(MAX_POSTS_PER_PAGE).into());
    let mut size = 0;
    let fits = |entry: &&Entry| {
        size += entry.size();
        size <= MAX_FEED_BYTES
    };
    let n_fitting = feed.entries.iter().take_while(fits).count();
    feed.entries.truncate(n_fitting.max(1));
}

/// Ends a feed: if it has no entries, the description says why.
#[must_use]
pub fn finish(mut feed: Feed, language: Language) -> Feed {
    if feed.entries.is_empty() {
        feed.description = with_reason(&feed.description, &language.words().feed);
    }
    feed
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
    use jiff::SignedDuration;

    use super::*;
    use crate::feed::{Format, fixtures, render};

    fn names(names: &[&str]) -> Vec<ChannelName> {
        names.iter().map(|name| ChannelName::new(name).unwrap()).collect()
    }

    /// Returns a channel's own feed with one entry at each of these minutes, newest first.
    fn own(name: &str, minutes: &[i64]) -> Feed {
        let entry = |minute: &i64| Entry {
            id: format!("{name}/{minute}"),
            published: fixtures::TIME + SignedDuration::from_mins(*minute),
            ..fixtures::entry("text")
        };
        let self_url = format!("https://feeds.example.org/{name}/rss");
        Feed { title: format!("The {name}"), self_url, ..fixtures::feed(minutes.iter().map(entry).collect()) }
    }

    fn combined(limit: Option<u8>) -> Feed {
        let channels = names(&["heron", "kettle"]);
        let url = "https://feeds.example.org/heron,kettle";
        let mut feed = begin(&channels, url.into(), format!("{url}/rss"), "", Language::English);
        add(&mut feed, &channels[0], own("heron", &[9, 5, 1]), limit);
        add(&mut feed, &channels[1], own("kettle", &[7, 5, 3]), limit);
        finish(feed, Language::English)
    }

    #[test]
    fn entries_of_all_channels_are_sorted_by_time() {
        let all = ["heron/9", "kettle/7", "heron/5", "kettle/5", "kettle/3", "heron/1"];
        for limit in [1, 3, 6, 200] {
            let feed = combined(Some(limit));
            let ids: Vec<&str> = feed.entries.iter().map(|entry| &*entry.id).collect();
            assert_eq!(ids, all[..usize::from(limit).min(all.len())], "{limit}");
        }
        assert_eq!(combined(None).entries.len(), all.len());
    }

    #[test]
    fn every_format_names_the_channel_of_an_entry() {
        let written = |format| String::from_utf8(render(&combined(Some(1)), format)).unwrap();
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
        let feed = finish(begin(&failed, String::new(), String::new(), "Note. ", en), en);
        let expected = "No recent post passes the filters of this feed. Note. @otter on Telegram";
        assert_eq!(feed.description, expected);
    }

    #[test]
    fn entries_that_do_not_fit_into_one_feed_are_left_out() {
        let channels = names(&["heron"]);
        let mut feed = begin(&channels, String::new(), String::new(), "", Language::English);
        let mut own = own("heron", &[9, 5, 1]);
        own.entries[0].body = "x".repeat(MAX_FEED_BYTES / 2);
        own.entries[1].body = "x".repeat(MAX_FEED_BYTES / 2);
        add(&mut feed, &channels[0], own, None);
        assert_eq!(feed.entries.len(), 1);
    }
}
