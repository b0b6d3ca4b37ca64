//! Every signed media URL in a feed resolves to a file of its post.

use std::collections::BTreeSet;
use std::sync::Arc;

use telewire::feed::context::FeedContext;
use telewire::feed::{self, Format};
use telewire::media::hosts::MediaHosts;
use telewire::media::signed_url::{MediaKeys, MediaLinker};
use telewire::model::media_file::MediaUrls;
use telewire::telegram::page::{self, PageSource};
use telewire::telegram::url::MEDIA_HOSTS;

use super::KEY;
use crate::support::{page, page_names, pages_folder};

const BASE: &str = "https://feeds.example.org";

/// Returns the URLs in a feed that start with `start`.
fn urls_in(json: &str, start: &str) -> BTreeSet<String> {
    let ends = |c: char| matches!(c, '"' | '\\' | '\'' | '<');
    let found = json.match_indices(start).map(|(at, _)| json[at..].split(ends).next().unwrap());
    found.map(|url| url.replace("&amp;", "&")).collect()
}

#[test]
fn signed_urls_resolve_to_the_files_of_their_posts() {
    let keys: Arc<MediaKeys> = Arc::new(KEY.parse().unwrap());
    let hosts: MediaHosts = MEDIA_HOSTS.parse().unwrap();
    let mut kinds = BTreeSet::new();
    for name in page_names(&pages_folder()) {
        let Ok(page) = page::parse(&page(&name), PageSource::Saved(None)) else { continue };
        let json = |proxy| {
            let media = MediaLinker { hosts: hosts.clone(), proxy, redirects: false };
            let context = FeedContext { url: format!("{BASE}/x/json"), media, ..FeedContext::default() };
            let feed = feed::build(&page.snapshot.clone().into(), &context);
            String::from_utf8(feed::render(&feed, Format::Json)).unwrap()
        };
        let signed =
            urls_in(&json(Some((BASE.to_owned(), Arc::clone(&keys)))), "https://feeds.example.org/-/media/");
        let mut found = BTreeSet::new();
        for link in &signed {
            let file = keys.verify(&link[BASE.len()..]).unwrap_or_else(|| panic!("{name}: {link}"));
            let urls = match file.post {
                Some(id) => MediaUrls::of(page.snapshot.posts.iter().find(|post| post.id == id).unwrap()),
                None => MediaUrls::of_channel(&page.snapshot.channel),
            };
            let url = urls.get(file.name).unwrap_or_else(|| panic!("{name}: {link} has no URL"));
            found.insert(hosts.allow(url).unwrap());
            kinds.insert(
                link.rsplit('/').next().unwrap().trim_start_matches(|c: char| c.is_ascii_digit()).to_owned(),
            );
        }
        let direct = urls_in(&json(None), "https://");
        assert!(found.is_subset(&direct), "{name}: {:?}", found.difference(&direct));
    }
    let all = [".jpg", ".mp4", ".ogg", ".webm", ".webp", "link.jpg", "link.mp4"];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), all);
}
