//! Builds a [`Feed`] from the selected posts.

use super::context::FeedContext;
use super::digest::Period;
use super::media_links::MediaLinks;
use super::options::{FeedOptions, Merge};
use super::select::{Rest, Selection};
use super::{Entry, Feed, body, digest, enclosure, plain_text, shape, title};
use crate::language::{FeedWords, Language, fill};
use crate::model::article::LinkedArticle;
use crate::model::channel::{Channel, TakenName};
use crate::model::media_file::FileName;
use crate::model::post::{Post, PostId};

/// Maximum size of all entries as XML, in bytes. The posts of [`MAX_PAGE_BYTES`](crate::model::paging::MAX_PAGE_BYTES) may be
/// several times as large as HTML; those that do not fit are on the next feed page. The first post is there in any case.
pub(super) const MAX_FEED_BYTES: usize = 4 << 20;

/// Builds the feed of a channel, the same for the same posts and context.
#[must_use]
pub fn build(selection: &Selection, context: &FeedContext) -> Feed {
    let Selection { channel, posts, deletions, rest, newest, .. } = selection;
    let FeedContext { media: linker, options, .. } = context;
    let mut entries: Vec<Entry> = Vec::new();
    let (mut n_posts, mut size) = (0, 0);
    'groups: for group in digest::groups(posts, options) {
        let is_single = Period::of(group[0].published, options) == selection.too_large;
        let parts = if is_single { None } else { parts(group, selection, context) };
        if let Some((parts, n_bytes)) = parts {
            size += n_bytes;
            if size > MAX_FEED_BYTES && n_posts > 0 {
                break;
            }
            n_posts += group.len();
            entries.extend(digest::merge(group, parts, deletions, options));
            continue;
        }
        if !is_single && n_posts > 0 {
            break;
        }
        for post in group {
            let entry = entry(post, articles(selection, post), channel, context);
            size += entry.size();
            if size > MAX_FEED_BYTES && n_posts > 0 {
                break 'groups;
            }
            n_posts += 1;
            entries.push(entry);
        }
    }
    let rest = if let Rest::After(lowest) = rest { Some(lowest.id) } else { None };
    let next = posts[..n_posts].last().filter(|_| n_posts < posts.len()).map_or(rest, |last| Some(last.id));
    let next_url = |id: PostId| context.url_with(&FeedOptions { before: Some(id.into()), ..options.clone() });
    let description = description(channel, &options.language.words().feed);
    let title = plain_text::visible_line(&channel.title).unwrap_or_else(|| channel.name.to_string());
    Feed {
        description: if entries.is_empty() { with_reason(&description, options) } else { description },
        home_url: channel.url.clone(),
        self_url: context.self_url(),
        next_url: next.map(next_url),
        prev_url: context.prev_url.clone(),
        icon: channel.photo.as_deref().and_then(|url| linker.url(&channel.name, None, FileName::PHOTO, url)),
        title,
        updated: entries.iter().map(|entry| entry.updated).max().or(*newest).unwrap_or_default(),
        entries,
    }
}

/// Returns the entries of the posts of a digest, and their size in bytes; `None` if they are too large for one. Articles do not
/// decide that, because they may come later: those that do not fit, seen from the oldest post on, are left out.
fn parts(group: &[Post], selection: &Selection, context: &FeedContext) -> Option<(Vec<Entry>, usize)> {
    let (mut parts, mut size) = (Vec::with_capacity(group.len()), 0);
    for post in group {
        let part = entry(post, &[], &selection.channel, context);
        size += part.size();
        if size > MAX_FEED_BYTES && !parts.is_empty() {
            return None;
        }
        parts.push(part);
    }
    for (post, part) in group.iter().zip(&mut parts).rev() {
        let articles = articles(selection, post);
        if !articles.is_empty() {
            let whole = entry(post, articles, &selection.channel, context);
            let with_articles = size - part.size() + whole.size();
            if with_articles <= MAX_FEED_BYTES {
                (size, *part) = (with_articles, whole);
            }
        }
    }
    Some((parts, size))
}

fn articles<'a>(selection: &'a Selection, post: &Post) -> &'a [LinkedArticle] {
    selection.articles.get(&post.id).map(Vec::as_slice).unwrap_or_default()
}

/// Returns the channel's description as sanitized HTML.
#[must_use]
pub fn about(channel: &Channel, language: Language) -> String {
    body::description(&channel.about, &language.words().feed)
}

/// Returns the channel's description line by line, preceded by Telegram's warning and followed by a note that its name was
/// another channel's. Of several blank lines in a row one is kept.
fn description(channel: &Channel, words: &FeedWords) -> String {
    let mut lines: Vec<String> =
        channel.about.text().lines().map(|line| plain_text::visible_line(line).unwrap_or_default()).collect();
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    let mut about = lines.join("\n").trim().to_owned();
    if about.is_empty() {
        about = fill(words.on_telegram, &[&format!("@{}", channel.name)]);
    }
    if let Some(TakenName { name, since }) = &channel.taken_over {
        let since = since.strftime("%Y-%m-%d").to_string();
        let note = words.taken_over.replace("{date}", &since).replace("{name}", name.as_str());
        about = format!("{about}\n{note}");
    }
    match channel.warning.as_deref().and_then(plain_text::visible_line) {
        Some(warning) => format!("{warning}{}{about}", words.colon),
        None => about,
    }
}

/// Returns the description of a feed without entries, which says why there are none if the options are the reason.
pub(super) fn with_reason(description: &str, options: &FeedOptions) -> String {
    let words = &options.language.words().feed;
    let reason = match options.before {
        None if options.merge != Merge::None => words.digest_to_come,
        _ if options.looks_back() => words.nothing_found,
        Some(_) => words.no_older_posts,
        None => return description.to_owned(),
    };
    format!("{reason}{}{description}", words.full_stop)
}

fn entry(post: &Post, articles: &[LinkedArticle], channel: &Channel, context: &FeedContext) -> Entry {
    let FeedContext { media: linker, options, .. } = context;
    let post = shape::with_spoilers(post, options);
    let (title, summary) =
        (shape::title(&post, options, &channel.signature_lines), title::summary(&post, options.language));
    let post = &*shape::without_previews_of(articles, shape::without_hidden(post, options));
    let articles: Vec<_> =
        articles.iter().map(|linked| shape::article(linked, &post.permalink, options)).collect();
    let links = MediaLinks::new(post, &channel.name, linker);
    let is_category = |tag: &String| !tag.contains(',');
    Entry {
        id: shape::id(post, &channel.name, &options.ids),
        url: shape::url(post, &channel.name, options.link),
        title,
        summary,
        body: body::body(post, &articles, links, options),
        published: post.published,
        updated: post.updated.unwrap_or(post.published),
        author: post.signature.as_deref().and_then(plain_text::visible_line),
        // FreshRSS splits a category at commas.
        categories: post
            .full_text()
            .hashtags()
            .into_iter()
            .filter_map(plain_text::visible_line)
            .filter(is_category)
            .collect(),
        media: enclosure::enclosures(post, links),
        source: None,
        post: Some(post.id),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::feed::fixtures;
    use crate::model::article::Article;

    /// Builds a feed of posts that are this many hours old, the newest first. Each has two fifths of the size of a feed.
    /// Returns the number of posts of each entry, and the number of the post below which the next feed page begins.
    fn large(query: &str, hours: [i64; 3]) -> (Vec<usize>, Option<String>) {
        let post = |(n, hours): (u32, i64)| Post {
            id: PostId::new(13 - n).unwrap(),
            text: "tide".into(),
            // Escaped, each takes six bytes.
            signature: Some("'".repeat(MAX_FEED_BYTES / 15)),
            published: fixtures::TIME - SignedDuration::from_hours(hours),
            ..fixtures::post()
        };
        let posts = (0..3).zip(hours).rev().map(post).collect();
        let context = FeedContext { options: FeedOptions::parse(query).unwrap(), ..FeedContext::default() };
        let feed = build(&fixtures::snapshot(posts).into(), &context);
        let n_posts = feed.entries.iter().map(|entry| entry.body.matches("tide").count()).collect();
        (n_posts, feed.next_url.map(|url| url.split_once("before=").unwrap().1[..2].to_owned()))
    }

    /// Articles are fetched later than posts. They must not break up a digest that was delivered before.
    #[test]
    fn articles_that_do_not_fit_are_left_out_of_a_digest() {
        let post = |id| Post { id: PostId::new(id).unwrap(), ..fixtures::post() };
        let mut selection = Selection::from(fixtures::snapshot([1, 2, 3].map(post).into()));
        for id in [1, 2, 3] {
            // Escaped, each quote takes six bytes.
            let text = format!("reef {id}: {}", "'".repeat(MAX_FEED_BYTES / 15));
            let (url, title) = (format!("https://example.org/{id}"), "Reefs".to_owned());
            let article = Article { url, title, author: None, text: text.as_str().into(), media: Vec::new() };
            selection.articles.insert(post(id).id, vec![LinkedArticle { number: 0, article }]);
        }
        for (query, expected) in [("merge=day", vec![vec![1, 2]]), ("", vec![vec![3], vec![2]])] {
            let context =
                FeedContext { options: FeedOptions::parse(query).unwrap(), ..FeedContext::default() };
            let feed = build(&selection, &context);
            let articles = |entry: &Entry| {
                (1..=3).filter(|id| entry.body.contains(&format!("reef {id}:"))).collect::<Vec<_>>()
            };
            assert_eq!(feed.entries.iter().map(articles).collect::<Vec<_>>(), expected, "{query}");
        }
    }

    #[test]
    fn a_feed_that_is_too_large_ends_before_an_entry() {
        let next = |id: &str| Some(id.to_owned());
        assert_eq!(large("", [0, 24, 25]), (vec![1, 1], next("12")));
        assert_eq!(large("merge=day", [0, 24, 25]), (vec![1], next("13")));
        assert_eq!(large("merge=day", [0, 1, 24]), (vec![2], next("12")));
        assert_eq!(large("merge=day", [0, 1, 2]), (vec![1, 1], next("12")), "too large for a digest");
    }
}
