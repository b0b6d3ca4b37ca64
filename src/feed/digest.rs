//! Digests: one entry for all posts of a day or a week, for `merge=`.

use std::collections::HashSet;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};

use super::body::html;
use super::options::{FeedOptions, Merge, TitleStyle};
use super::title::MAX_SUMMARY_CHARS;
use super::{Entry, plain_text};
use crate::language::Language;
use crate::model::paging::Deletion;
use crate::model::post::Post;

/// A day or a week in a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    /// The first moment.
    pub(super) start: Timestamp,
    /// The first moment after it.
    pub(super) end: Timestamp,
}

impl Period {
    /// Returns the period of a time; `None` if the options ask for no digests.
    pub(super) fn of(time: Timestamp, options: &FeedOptions) -> Option<Self> {
        let day = time.to_zoned_datetime(options.time_zone()).start_of_day().ok()?;
        let (first, days) = match options.merge {
            Merge::None => return None,
            Merge::Day => (day, 1),
            Merge::Week => {
                let since_monday = day.weekday().since(Weekday::Monday);
                (day.checked_sub(i64::from(since_monday).days()).ok()?, 7)
            }
        };
        let end = first.checked_add(days.days()).ok()?;
        Some(Self { start: first.timestamp(), end: end.timestamp() })
    }

    fn contains(self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }
}

/// Returns the posts of each entry: those of one period, or each post by itself if the options ask for no digests.
pub(super) fn groups<'a>(posts: &'a [Post], options: &FeedOptions) -> impl Iterator<Item = &'a [Post]> {
    let period = |post: &Post| Period::of(post.published, options);
    posts.chunk_by(move |newer, older| period(newer).is_some_and(|newer| period(older) == Some(newer)))
}

/// Merges the entries of a [group](groups) of posts, newest first, into one if the options ask for digests.
pub(super) fn merge(
    posts: &[Post],
    entries: Vec<Entry>,
    deletions: &[Deletion],
    options: &FeedOptions,
) -> Vec<Entry> {
    let period = posts.last().and_then(|oldest| Some((oldest, Period::of(oldest.published, options)?)));
    match period {
        Some((oldest, period)) => vec![digest(oldest, &entries, period, deletions, options)],
        None => entries,
    }
}

fn digest(
    oldest: &Post,
    newest_first: &[Entry],
    period: Period,
    deletions: &[Deletion],
    options: &FeedOptions,
) -> Entry {
    // The name in a permalink stays the same when the channel is renamed.
    let channel_url = oldest.permalink.rsplit_once('/').map_or(&*oldest.permalink, |(channel, _)| channel);
    let zone = options.time_zone();
    let first_day = period.start.to_zoned_datetime(zone.clone());
    let posts = || newest_first.iter().rev();
    let edits = posts().filter(|entry| entry.updated != entry.published).map(|entry| entry.updated);
    let deletions = deletions.iter().filter(|deletion| period.contains(deletion.published));
    let changes = edits.chain(deletions.map(|deletion| deletion.gone));
    let titles: Vec<&str> = posts().map(|entry| entry.title.as_deref().unwrap_or(&entry.summary)).collect();
    let mut seen = HashSet::new();
    let categories = posts().flat_map(|entry| &entry.categories).filter(|name| seen.insert(*name));
    Entry {
        id: format!("{channel_url}#{}", label(&first_day, options.merge)),
        url: posts().next().map_or_else(|| oldest.permalink.clone(), |first| first.url.clone()),
        title: (options.title != TitleStyle::None).then(|| title(&first_day, newest_first.len(), options)),
        summary: plain_text::cut(titles.join(" · "), MAX_SUMMARY_CHARS),
        body: posts().map(|entry| section(entry, &zone, options)).collect::<Vec<_>>().join("\n"),
        published: period.end,
        updated: changes.fold(period.end, Timestamp::max),
        author: None,
        categories: categories.cloned().collect(),
        media: Vec::new(),
        source: None,
        post: None,
    }
}

/// Returns the part of an id that names the period.
fn label(first_day: &ZonedDateTime, merge: Merge) -> String {
    match merge {
        Merge::Week => first_day.strftime("%G-W%V").to_string(),
        Merge::Day | Merge::None => first_day.strftime("%F").to_string(),
    }
}

fn title(first_day: &ZonedDateTime, n_posts: usize, options: &FeedOptions) -> String {
    let (language, written) = (options.language, |format| first_day.strftime(format).to_string());
    let words = &language.words().feed;
    let period = match options.merge {
        Merge::Week => words.week.replace("{week}", &written("%-V")).replace("{year}", &written("%G")),
        Merge::Day | Merge::None => words
            .date
            .replace("{day}", &written("%-d"))
            .replace("{month}", month(first_day, language))
            .replace("{year}", &written("%Y")),
    };
    format!("{period}{}{}", words.colon, language.counted(n_posts as u64, &words.posts))
}

fn month(day: &ZonedDateTime, language: Language) -> &'static str {
    let n = usize::try_from(day.month() - 1).unwrap_or_default();
    language.words().feed.months.get(n).unwrap_or(&"")
}

fn weekday(day: &ZonedDateTime, language: Language) -> &'static str {
    let n = usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or_default();
    language.words().feed.weekdays.get(n).unwrap_or(&"")
}

/// Returns the body of a post below a line with its time, as a link to the post, and its author. A sequence of sanitized HTML
/// is sanitized: no element stays open.
fn section(entry: &Entry, zone: &TimeZone, options: &FeedOptions) -> String {
    let day = entry.published.to_zoned_datetime(zone.clone());
    let mut time = day.strftime("%H:%M").to_string();
    if options.merge == Merge::Week {
        time = format!("{} {time}", weekday(&day, options.language));
    }
    let mut section = String::new();
    html::block(&mut section, "p", |out| {
        html::element(out, "b", |out| html::link(out, &time, Some(&entry.url)));
        if let Some(author) = &entry.author {
            html::text(out, &format!(" · {author}"));
        }
    });
    section + &entry.body
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::feed::context::FeedContext;
    use crate::feed::sanitize::parse_and_sanitize;
    use crate::feed::{build, fixtures};

    /// Returns the digests of posts that were published every six hours, the last one at midnight UTC of 20 June 2024.
    fn digests(query: &str, edited: Option<usize>, deleted: Option<usize>) -> Vec<Entry> {
        let last: Timestamp = "2024-06-20T00:00:00Z".parse().unwrap();
        let at = |n: usize| last - SignedDuration::from_hours(6 * i64::try_from(n).unwrap());
        let gone = last + SignedDuration::from_hours(50);
        let entry = |n: usize| {
            let updated = if edited == Some(n) { gone } else { at(n) };
            let url = format!("https://example.org/sample/{n}");
            Entry { id: url.clone(), url, published: at(n), updated, ..fixtures::entry(&format!("post {n}")) }
        };
        let numbers: Vec<usize> = (0..12).filter(|n| deleted != Some(*n)).collect();
        let posts: Vec<Post> =
            numbers.iter().map(|n| Post { published: at(*n), ..fixtures::post() }).collect();
        let mut entries = numbers.into_iter().map(entry);
        let deletions: Vec<_> = deleted.map(|n| Deletion { published: at(n), gone }).into_iter().collect();
        let options = FeedOptions::parse(query).unwrap();
        let merged =
            |group: &[Post]| merge(group, entries.by_ref().take(group.len()).collect(), &deletions, &options);
        groups(&posts, &options).flat_map(merged).collect()
    }

    fn summary(digest: &Entry) -> String {
        format!(
            "{} {} {}",
            digest.id.split('#').nth(1).unwrap(),
            digest.title.as_deref().unwrap(),
            digest.published
        )
    }

    #[test]
    fn days_and_weeks_begin_in_the_time_zone() {
        for (query, expected) in [
            (
                "merge=day",
                [
                    "2024-06-20 20 June 2024: 1 post 2024-06-21T00:00:00Z",
                    "2024-06-19 19 June 2024: 4 posts 2024-06-20T00:00:00Z",
                ],
            ),
            (
                "merge=day&tz=America/New_York",
                [
                    "2024-06-19 19 June 2024: 4 posts 2024-06-20T04:00:00Z",
                    "2024-06-18 18 June 2024: 4 posts 2024-06-19T04:00:00Z",
                ],
            ),
            (
                "merge=day&tz=Asia/Kathmandu",
                [
                    "2024-06-20 20 June 2024: 1 post 2024-06-20T18:15:00Z",
                    "2024-06-19 19 June 2024: 4 posts 2024-06-19T18:15:00Z",
                ],
            ),
        ] {
            let digests = digests(query, None, None);
            assert_eq!(digests.iter().take(2).map(summary).collect::<Vec<_>>(), expected, "{query}");
        }
        let weeks = digests("merge=week&tz=Europe/Berlin", None, None);
        let weeks: Vec<_> = weeks.iter().map(summary).collect();
        assert_eq!(weeks, ["2024-W25 Week 25 of 2024: 12 posts 2024-06-23T22:00:00Z"]);
    }

    #[test]
    fn an_edit_or_deletion_changes_only_its_own_digest() {
        let before = digests("merge=day", None, None);
        for (edited, deleted) in [(Some(3), None), (None, Some(3))] {
            let after = digests("merge=day", edited, deleted);
            assert_eq!(after.len(), before.len());
            for (before, after) in before.iter().zip(&after) {
                assert_eq!((&before.id, before.published), (&after.id, after.published));
                let is_changed = after.id.ends_with("#2024-06-19");
                assert_eq!(after.updated > before.updated, is_changed, "{}", after.id);
            }
        }
    }

    #[test]
    fn a_digest_has_its_posts_in_order() {
        let digest = &digests("merge=day", None, None)[1];
        let times = ["00:00", "06:00", "12:00", "18:00"].map(|time| digest.body.find(time).unwrap());
        assert!(times.is_sorted(), "{}", digest.body);
        assert_eq!(digest.url, "https://example.org/sample/4");
    }

    #[test]
    fn the_sanitizer_changes_nothing_in_digests() {
        for query in ["merge=day", "merge=week&lang=fa"] {
            for digest in digests(query, None, None) {
                assert_eq!(parse_and_sanitize(&digest.body), digest.body);
            }
        }
        let options = FeedOptions::parse("merge=day&link=app").unwrap();
        let url = "tg://resolve?domain=sample&post=7".to_owned();
        let section = section(&Entry { url, ..fixtures::entry("text") }, &TimeZone::UTC, &options);
        assert_eq!(parse_and_sanitize(&section), section);
        assert!(section.contains("<b><a href=\"tg://resolve?domain=sample&amp;post=7\""), "{section}");
    }

    #[test]
    fn a_digest_keeps_its_id_when_the_channel_is_renamed() {
        let post = Post { permalink: "https://example.org/old_name/7".into(), ..fixtures::post() };
        let options = FeedOptions::parse("merge=day").unwrap();
        let context = FeedContext { options, ..FeedContext::default() };
        let feed = build(&fixtures::snapshot(vec![post]).into(), &context);
        assert_eq!(feed.home_url, "https://example.org/sample");
        assert_eq!(feed.entries[0].id, "https://example.org/old_name#2024-06-19");
    }
}
