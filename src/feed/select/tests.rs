//! Tests of scans: pages that follow each other give what one long page gives.

use proptest::prelude::*;

use super::*;
use crate::feed::context::FeedContext;
use crate::feed::{build, fixtures};
use crate::model::paging::MAX_POST_BYTES;

const NOW: Timestamp = fixtures::TIME;

const QUERIES: [&str; 9] = [
    "match=tide",
    "exclude=tide",
    "match=/^(?:rope|sand)/&exclude-title=new",
    "without=forward",
    "min-age=5h",
    "max-age=3d&match=rope",
    "merge=day",
    "merge=day&tz=Asia/Kathmandu&match=tide&max-age=2d",
    "merge=week&tz=America/New_York",
];

/// Returns posts with ids that have gaps, the newest published at most a few hours before [`NOW`].
fn posts() -> impl Strategy<Value = Vec<Post>> {
    let words = ["rope tide", "sand", "new rope", "tide"];
    let post = (1..4_u32, 1..500_i64, proptest::sample::select(words.to_vec()));
    proptest::collection::vec(post, 0..80).prop_map(|parts| {
        let (mut id, mut at) = (100_000, NOW);
        let post = |(gap, minutes, text): (u32, i64, &str)| {
            id -= gap;
            at -= SignedDuration::from_mins(minutes);
            let permalink = format!("https://example.org/sample/{id}");
            Post { text: text.into(), ..Post::empty(PostId::new(id).unwrap(), permalink, at) }
        };
        let mut posts: Vec<Post> = parts.into_iter().map(post).collect();
        posts.reverse();
        posts
    })
}

/// Selects a feed page. The archive returns `chunk` posts at a time.
fn page(posts: &[Post], options: &FeedOptions, chunk: usize) -> Selection {
    let mut scan = Scan::new(options.clone(), Filter::new(options).unwrap(), NOW);
    let below = |id| posts.partition_point(|post| post.id < id);
    let mut end = options.before.as_ref().map_or(posts.len(), |before| below(before.id));
    if let Some(newer) = posts.get(end) {
        scan = scan.continuing(Newer { published: newer.published, is_above_gap: false });
    }
    loop {
        let start = end.saturating_sub(chunk);
        scan.look_at(&fixtures::channel(), posts[start..end].to_vec(), start > 0);
        if let (Some(before), Some(after)) = (scan.needs_posts_before(), scan.skips_after())
            && let Some(oldest) = posts[..below(before)].iter().find(|post| post.published > after)
        {
            scan.skip_to(&fixtures::channel(), oldest.id.get());
        }
        match scan.needs_posts_before() {
            Some(before) => end = below(before),
            None => return scan.finish(fixtures::channel()),
        }
    }
}

/// Returns the post below which the next feed page begins.
fn next(selection: &Selection) -> Option<PostId> {
    if let Rest::After(lowest) = selection.rest { Some(lowest.id) } else { None }
}

/// Returns the ids and bodies of all entries, following the links to older pages.
fn entries(posts: &[Post], query: &str, limit: u8, chunk: usize) -> Vec<(String, String)> {
    let mut options = FeedOptions { limit: Some(limit), ..FeedOptions::parse(query).unwrap() };
    let mut entries = Vec::new();
    loop {
        let selection = page(posts, &options, chunk);
        let context = FeedContext { options: options.clone(), ..FeedContext::default() };
        let feed = build(&selection, &context);
        assert!(feed.entries.len() <= limit.into(), "{query}: more than {limit} entries");
        entries.extend(feed.entries.into_iter().map(|entry| (entry.id, entry.body)));
        let Some(id) = next(&selection) else { return entries };
        assert!(options.before.is_none_or(|before| id < before.id), "{query}: the pages do not end");
        options.before = Some(id.into());
    }
}

proptest! {
    #[test]
    fn entries_do_not_depend_on_paging(
        posts in posts(),
        query in proptest::sample::select(QUERIES.to_vec()),
        limit in 1..8_u8,
        chunk in 1..30_usize,
    ) {
        let paged = entries(&posts, query, limit, chunk);
        prop_assert_eq!(&paged, &entries(&posts, query, 200, 200), "{}", query);
        let mut ids: Vec<_> = paged.iter().map(|(id, _)| id).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), paged.len(), "{}: an id appears twice", query);
    }
}

/// Returns posts with these texts, one per hour; the newest was published at [`NOW`].
fn hourly(texts: &[&str]) -> Vec<Post> {
    let post = |(n, text): (usize, &&str)| {
        let (id, hours) = (u32::try_from(n).unwrap() + 1, i64::try_from(texts.len() - 1 - n).unwrap());
        let at = NOW - SignedDuration::from_hours(hours);
        Post {
            text: (*text).into(),
            ..Post::empty(PostId::new(id).unwrap(), format!("https://example.org/{id}"), at)
        }
    };
    texts.iter().enumerate().map(post).collect()
}

/// Returns this many posts, the newest published at [`NOW`], with this many seconds between them.
fn every(seconds: i64, n: u32) -> Vec<Post> {
    let post = |id: u32| {
        let at = NOW - SignedDuration::from_secs(seconds * i64::from(n - id));
        Post::empty(PostId::new(id).unwrap(), format!("https://example.org/{id}"), at)
    };
    (1..=n).map(post).collect()
}

fn selected(query: &str, posts: &[Post]) -> (Vec<u32>, Option<i64>) {
    let selection = page(posts, &FeedOptions::parse(query).unwrap(), 200);
    let ids = selection.posts.iter().map(|post| post.id.get()).collect();
    (ids, selection.expires.map(|expires| expires.duration_since(NOW).as_secs()))
}

#[test]
fn selection_by_age_expires_when_the_next_post_comes_or_goes() {
    let posts = hourly(&["a"; 5]);
    for (query, ids, expires) in [
        ("", vec![5, 4, 3, 2, 1], None),
        ("max-age=150m", vec![5, 4, 3], Some(30 * 60)),
        ("min-age=90m", vec![3, 2, 1], Some(30 * 60)),
        ("min-age=30m&max-age=4h", vec![4, 3, 2], Some(30 * 60)),
        ("max-age=1s&match=b", vec![], None),
    ] {
        assert_eq!(selected(query, &posts), (ids, expires), "{query}");
    }
}

#[test]
fn a_scan_ends_after_so_many_posts() {
    let posts = hourly(&vec!["a"; MAX_LOOKED_AT + 300]);
    let selection = page(&posts, &FeedOptions::parse("match=b").unwrap(), 200);
    assert!(selection.posts.is_empty());
    assert_eq!(next(&selection), PostId::new(301), "the next page continues there");
}

#[test]
fn posts_that_are_too_young_do_not_end_a_scan() {
    let posts = every(600, 4_500);
    let week = page(&posts, &FeedOptions::parse("merge=week").unwrap(), 200);
    assert_eq!(week.posts.len(), 7 * 24 * 6, "the last week");
    assert_eq!(next(&week), week.posts.last().map(|post| post.id));
    let old = page(&posts, &FeedOptions::parse("min-age=20d&limit=9").unwrap(), 200);
    assert_eq!((old.posts.len(), old.posts[0].id.get()), (9, 4_500 - 20 * 24 * 6));
    assert!(
        old.n_looked_at < 400 && old.expires.is_some_and(|at| at <= NOW + SignedDuration::from_secs(600))
    );
}

/// Returns the numbers of digests and of posts that are entries of their own on each page, following the links to older ones.
/// Every post that is not too young is there once.
fn digests(posts: &[Post], query: &str) -> Vec<(usize, usize)> {
    let mut options = FeedOptions::parse(query).unwrap();
    let (mut pages, mut found) = (Vec::new(), Vec::new());
    loop {
        let selection = page(posts, &options, 200);
        assert!(selection.n_looked_at <= MAX_LOOKED_AT);
        let n_bytes: usize = selection.posts.iter().map(Post::json_len).sum();
        assert!(n_bytes <= MAX_SELECTED_BYTES + MAX_POST_BYTES, "{n_bytes} bytes");
        let feed = build(&selection, &FeedContext { options: options.clone(), ..FeedContext::default() });
        let n_bytes: usize = feed.entries.iter().map(|entry| entry.body.len()).sum();
        assert!(n_bytes <= 4 << 20, "{n_bytes} bytes");
        let numbers = feed.entries.iter().flat_map(|entry| entry.body.split("post ").skip(1));
        found.extend(numbers.map(|rest| rest.split('.').next().unwrap().parse::<u32>().unwrap()));
        let n_single = feed.entries.iter().filter(|entry| entry.post.is_some()).count();
        pages.push((feed.entries.len() - n_single, n_single));
        let Some(url) = feed.next_url else { break };
        let before = options.before.take();
        options = FeedOptions::parse(url.split_once('?').unwrap().1).unwrap();
        assert!(
            before.is_none_or(|before| options.before.as_ref().unwrap().id < before.id),
            "pages do not end"
        );
    }
    found.sort_unstable();
    let newest = posts.partition_point(|post| post.published < "2024-06-17T00:00:00Z".parse().unwrap());
    assert!(found.into_iter().eq(1..=u32::try_from(newest).unwrap()), "a post is missing or there twice");
    pages
}

#[test]
fn posts_of_a_period_that_is_too_large_are_entries() {
    let posts = |seconds, n, len| {
        let text = |post: Post| Post {
            text: format!("post {}. {}", post.id, "x".repeat(len)).as_str().into(),
            ..post
        };
        every(seconds, n).into_iter().map(text).collect::<Vec<Post>>()
    };
    // A week has 504 posts, or in the second case 2,419.
    for (seconds, n, len, expected) in [
        (1_200, 1_200, 1_000, vec![(3, 0)]),
        (250, 5_000, 9, vec![(0, 2_000), (0, 419), (1, 0)]),
        (1_200, 1_200, 20_000, vec![(0, 202), (0, 202), (0, 100), (0, 202), (0, 202), (1, 100)]),
        (1_200, 1_200, 10_000, vec![(0, 391), (0, 113), (0, 391), (1, 113)]),
    ] {
        assert_eq!(digests(&posts(seconds, n, len), "merge=week"), expected, "{n} posts of {len} bytes");
    }
}

/// A digest of which the archive has only a part would change later.
#[test]
fn digests_are_complete_or_left_out() {
    let posts = hourly(&["a"; 60]);
    let options = FeedOptions::parse("merge=day").unwrap();
    let mut scan = Scan::new(options.clone(), Filter::default(), NOW);
    scan.look_at(&fixtures::channel(), posts[15..].to_vec(), true);
    let selection = scan.finish(fixtures::channel());
    let days: Vec<_> = selection.posts.iter().map(|post| post.published.strftime("%F").to_string()).collect();
    assert!(days.iter().all(|day| day == "2024-06-18") && days.len() == 24, "{days:?}");
    assert_eq!(next(&selection), selection.posts.last().map(|post| post.id));
    let mut below = Scan::new(options.clone(), Filter::default(), NOW).beginning_below(posts[30].id);
    below.look_at(&fixtures::channel(), posts[20..30].to_vec(), true);
    let selection = below.finish(fixtures::channel());
    assert!(selection.posts.is_empty() && next(&selection).is_none(), "the page would lead to itself");
    let whole = page(&posts, &options, 200);
    assert_eq!(whole.posts.len(), 44, "all but the day that is not over");
    let midnight: Timestamp = "2024-06-20T00:00:00Z".parse().unwrap();
    assert_eq!(whole.expires, Some(midnight));
}
