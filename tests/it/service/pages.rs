//! Pages for people: the channel with its history, single posts, languages, caching.

use serde_json::Value;
use telewire::language::{Language, Problem};

use super::several_channels::{FAST, channel, three_channels};
use crate::support::app::App;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::http::Response;
use crate::support::page;
use crate::support::postgres::Postgres;
use crate::support::wait::wait_until;

const NAME: &str = "harbour_news";

/// Returns the ids of the posts on a page, in their order.
fn posts(page: &Response) -> Vec<u32> {
    let ids = page.text().split("<article class=\"post\" id=\"p").skip(1);
    ids.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

/// Returns the relative URL of the link with this `rel`.
fn link(page: &Response, rel: &str) -> Option<String> {
    let tag = page
        .text()
        .split('<')
        .find(|tag| tag.starts_with("a ") && tag.contains(&format!("rel=\"{rel}\"")))?;
    Some(tag.split("href=\"").nth(1)?.split('"').next()?.replace("&amp;", "&"))
}

fn service(n: u32) -> (FakeTelegram, App) {
    let fake = FakeTelegram::start();
    let start = "2026-05-01T08:00:00Z".parse().unwrap();
    fake.add_channel(FakeChannel::with_posts(NAME, n, start));
    let app = App::start(&fake.url(), &["--rate", "1000", "--burst", "1000"]);
    (fake, app)
}

#[test]
fn paging_shows_every_archived_post_once_and_asks_telegram_for_none() {
    let (fake, app) = service(90);
    // The feed's older pages fetch the channel's history.
    let mut older = Some(format!("/{NAME}/json"));
    while let Some(target) = older {
        let feed: Value = serde_json::from_slice(&app.get(&target).body).unwrap();
        older = feed["next_url"].as_str().map(|url| url[url.find("/harbour").unwrap()..].to_owned());
    }
    let n_requests = fake.paths("/s/").len();
    let (mut seen, mut next) = (Vec::new(), Some(NAME.to_owned()));
    while let Some(target) = next {
        let page = app.get(&format!("/{target}"));
        assert_eq!(page.status, 200, "{target}");
        seen.extend(posts(&page));
        next = link(&page, "next");
    }
    assert_eq!(seen, (1..=90).rev().collect::<Vec<_>>());
    assert_eq!(fake.paths("/s/").len(), n_requests);
}

#[test]
fn page_of_a_post_is_answered_from_the_archive_alone() {
    let (fake, app) = service(30);
    assert_eq!(app.get("/harbour_news").status, 200);
    let n_requests = fake.paths("/").len();
    let page = app.get("/harbour_news/25");
    assert_eq!((page.status, posts(&page)), (200, vec![25]));
    assert_eq!(page.header("X-Robots-Tag"), Some("noindex, nofollow"));
    assert_eq!(
        (link(&page, "prev"), link(&page, "next")),
        (Some("../harbour_news/26".into()), Some("../harbour_news/24".into()))
    );
    let redirect = app.get("/Harbour_News/25?lang=ru");
    assert_eq!((redirect.status, redirect.header("Location")), (301, Some("../harbour_news/25?lang=ru")));
    let missing = app.get("/harbour_news/5");
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("t.me/harbour_news/5"), "{}", missing.text());
    assert_eq!(app.get("/nobody_reads_this/5").status, 404);
    assert_eq!(fake.paths("/").len(), n_requests);
}

#[test]
fn page_has_the_language_that_the_browser_prefers_or_the_url_names() {
    let (_fake, app) = service(3);
    for (target, accepted, language) in [
        ("/harbour_news", "", "en\" dir=\"ltr"),
        ("/harbour_news", "de, fa;q=0.7", "fa\" dir=\"rtl"),
        ("/harbour_news?lang=zh", "ru", "zh-Hans\" dir=\"ltr"),
        ("/", "ru-RU,ru;q=0.9", "ru\" dir=\"ltr"),
    ] {
        let page = app.ask("GET", target, &[("Accept-Language", accepted)]);
        assert!(page.text().contains(&format!("<html lang=\"{language}\">")), "{target} {accepted}");
        assert_eq!(page.header("Vary"), Some("accept-encoding, accept-language"));
    }
}

#[test]
fn page_is_answered_conditionally_and_loads_only_its_own_files() {
    let (_fake, app) = service(20);
    for target in ["/", "/harbour_news", "/harbour_news/12"] {
        let page = app.get(target);
        let again = app.ask("GET", target, &[("If-None-Match", page.header("ETag").unwrap())]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{target}");
        for tag in page
            .text()
            .split('<')
            .filter(|tag| tag.starts_with("link rel=\"stylesheet") || tag.starts_with("script"))
        {
            let file = tag.split('"').find(|part| part.contains("-/assets/")).unwrap();
            let file = app.get(&format!("/{}", file.trim_start_matches("../")));
            assert_eq!(
                (file.status, file.header("Cache-Control")),
                (200, Some("public, max-age=31536000, immutable"))
            );
        }
        let policy = page.header("Content-Security-Policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"), "{policy}");
    }
    let compressed = app.ask("GET", "/harbour_news", &[("Accept-Encoding", "gzip")]);
    assert!(compressed.body.len() < 30_000, "{}", compressed.body.len());
}

#[test]
fn form_of_the_builder_leads_to_the_canonical_page_and_its_feed() {
    let (_fake, app) = service(20);
    let sent = app.get("/harbour_news?match=&exclude=Post+12&only=&limit=5&format=rss&lang=");
    assert_eq!((sent.status, sent.header("Location")), (303, Some("harbour_news?limit=5&exclude=12+post")));
    let page = app.get("/harbour_news?limit=5&exclude=12+post");
    assert_eq!(posts(&page), [20, 19, 18, 17, 16]);
    let url = page.text().split("id=\"feed-url\"").nth(1).unwrap().split("value=\"").nth(1).unwrap();
    let url = url.split('"').next().unwrap().replace("&amp;", "&");
    assert!(url.ends_with("/harbour_news/rss?limit=5&exclude=12+post"), "{url}");
    assert_eq!(app.get("/harbour_news?limit=x").status, 400);
}

#[test]
fn browsers_show_a_feed_with_its_stylesheet_and_readers_get_the_same_bytes() {
    let (_fake, app) = service(3);
    for format in ["rss", "atom"] {
        let target = format!("/{NAME}/{format}");
        let feed = app.get(&target);
        assert!(
            feed.text().contains("?><?xml-stylesheet type=\"text/css\" href=\"../-/feed.css\"?>"),
            "{format}"
        );
        assert_eq!(
            feed.header("Content-Type"),
            Some(format!("application/{format}+xml; charset=utf-8").as_str())
        );
        let shown = app.ask("GET", &target, &[("Accept", "text/html,application/xml;q=0.9,*/*;q=0.8")]);
        assert_eq!(shown.header("Content-Type"), Some("text/xml; charset=utf-8"));
        assert_eq!((&shown.body, shown.header("ETag")), (&feed.body, feed.header("ETag")));
    }
    let stylesheet = app.get("/-/feed.css");
    assert_eq!(
        (stylesheet.status, stylesheet.header("Content-Type")),
        (200, Some("text/css; charset=utf-8"))
    );
}

#[test]
fn filtered_pages_lead_to_older_posts_that_pass_too() {
    let (_fake, app) = service(90);
    assert_eq!(app.get(&format!("/{NAME}/json?limit=90")).status, 200);
    let (mut seen, mut next) = (Vec::new(), Some(format!("{NAME}?match=post&limit=15")));
    while let Some(target) = next {
        let page = app.get(&format!("/{target}"));
        seen.extend(posts(&page));
        next = link(&page, "next");
    }
    assert_eq!(seen, (1..=90).rev().collect::<Vec<_>>());
}

#[test]
fn redirects_of_forms_stay_on_the_service_and_pages_have_nothing_of_other_queries() {
    let (_fake, app) = service(3);
    for target in ["/harbour_news?q=../https://evil.example&format=rss", "/harbour_news?match=/a../&tag="] {
        let answer = app.get(target);
        let location = answer.header("Location").unwrap_or_default();
        assert!(answer.status == 303 && location.starts_with("harbour_news?"), "{target}: {location}");
    }
    assert!(app.get("/harbour_news?uid=alice").text().contains("harbour_news"));
    for target in ["/harbour_news?uid=alice", "/harbour_news", "/harbour_news,harbour_news?uid=alice"] {
        assert!(!app.get(target).text().contains("alice"), "{target}");
    }
}

#[test]
fn page_of_an_error_finds_its_stylesheet_from_any_depth_and_stays_small() {
    let (_fake, app) = service(0);
    for n in [1, 2, 8, 20, 200, 5000] {
        let deep = app.ask("GET", &"/x".repeat(n), &[("Accept", "text/html")]);
        assert!(deep.status == 400 || deep.status == 404, "{}", deep.status);
        assert!(deep.body.len() < 20_000, "{}", deep.body.len());
        let (before, _) = deep.text().split_once("-/assets/style").unwrap();
        let (_, root) = before.rsplit_once('"').unwrap();
        assert!(n == 5000 || root == "../".repeat(n - 1), "{n}: {root}");
    }
}

#[test]
fn subscriber_counts_are_on_the_page_but_not_in_the_feed() {
    // Nothing else tells the bytes of the two services apart.
    let flags = ["--public-url", "http://telewire.internal", "--media", "direct"];
    let feeds = ["4.12K", "5.3K"].map(|subscribers| {
        let (fake, app) = super::service(&flags);
        fake.on(super::PREVIEW, Answer::page(&page("text").replace(">4.12K<", &format!(">{subscribers}<"))));
        let shown = app.get("/harbour_news");
        let counts = format!("<span>{subscribers} subscribers</span> <span>310 photos</span>");
        assert!(shown.text().contains(&counts), "{}", shown.text());
        let older = app.get("/harbour_news?before=110&lang=ru");
        assert!(older.text().contains("<span>310 фото</span>"), "{}", older.text());
        let etag = app.get(super::RSS).header("ETag").map(str::to_owned);
        let folder = app.stop();
        fake.override_all(Answer::status(500));
        let app = App::start_in(folder, &fake.url(), &flags);
        assert!(app.get("/harbour_news").text().contains(&counts), "after a restart");
        assert_eq!(app.get(super::RSS).header("ETag").map(str::to_owned), etag);
        etag
    });
    assert!(feeds[0].is_some() && feeds[0] == feeds[1], "{feeds:?}");
}

/// Crawlers must not spend the requests to Telegram that readers need.
#[test]
fn pages_of_too_many_new_channels_are_refused_for_a_while() {
    let (_fake, app) = super::service(&["--burst", "200", "--client-rate", "0"]);
    assert_eq!(app.get(super::RSS).status, 200);
    let mut answers = (0..100).map(|n| app.ask("GET", &format!("/unknown_{n}"), &[("Accept", "text/html")]));
    let refused = answers.find(|answer| answer.status == 429).unwrap();
    assert!(refused.header("Retry-After").is_some());
    let words = Language::English.words().page.problems.get(Problem::TooManyNewChannels);
    assert!(refused.text().contains(words.title), "{}", refused.text());
    assert_eq!(app.get("/harbour_news").status, 200, "the page of a channel that is cached");
}

/// A crawler comes to the page of every channel.
#[test]
fn stale_pages_of_many_channels_are_refreshed_within_the_rate() {
    const CHANNELS: usize = 60;
    let flags = ["--burst", "200", "--client-rate", "0", "--fresh-min", "0s", "--fresh-max", "0s"];
    let (fake, app) = super::service(&flags);
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("crawled_{n}")).collect();
    for name in &names {
        fake.add_channel(channel(name, 0));
        assert_eq!(app.get(&format!("/{name}/rss")).status, 200);
    }
    for pages in names.chunks(2).map(|names| [names[0].clone(), names.join(",")]) {
        for page in pages {
            assert_eq!(app.get(&format!("/{page}")).status, 200);
        }
    }
    // Comes after the refreshes in the queue.
    assert_eq!(app.get(super::RSS).status, 200);
    let n_refreshes = fake.paths("/s/crawled_").len() - CHANNELS;
    assert!((1..CHANNELS / 2).contains(&n_refreshes), "{n_refreshes}");
}

/// A client chooses the host, so it must not fill the cache with one page.
#[test]
fn page_for_many_hosts_is_one_entry_of_the_cache() {
    const TOKEN: &str = "0123456789abcdef";
    let (_fake, app) = super::service(&["--admin-token", TOKEN]);
    for n in 0..20 {
        let headers = [("Accept", "text/html"), ("Host", &format!("host{n}.example"))];
        assert_eq!(app.ask("GET", "/harbour_news", &headers).status, 200);
    }
    let report = app.get(&format!("/-/token/{TOKEN}/-/status.json"));
    let report: Value = serde_json::from_slice(&report.body).unwrap();
    assert_eq!(report["feed_cache"]["entries"], 1);
}

#[test]
fn example_of_the_home_page_is_a_channel_that_is_served() {
    for (flags, example) in [
        (&[][..], Some("telegram")),
        (&["--allow-channels", "news_*,Harbour_News"], Some("harbour_news")),
        (&["--allow-channels", "news_*"], None),
        (&["--deny-channels", "telegram"], None),
    ] {
        let (_fake, app) = super::service(flags);
        let home = app.get("/");
        let link = home.text().split("<bdi dir=\"ltr\"><a href=\"").nth(1);
        assert_eq!(link.map(|rest| rest.split('"').next().unwrap()), example, "{flags:?}");
    }
}

#[test]
fn home_page_lists_the_channels_for_administrators_alone() {
    const TOKEN: &str = "0123456789abcdef";
    let database = Postgres::shared().map(Postgres::database);
    let flags = database.iter().map(|database| vec!["--database", database.as_str()]);
    for flags in flags.chain([vec![]]) {
        let (_fake, app) = three_channels(&[&FAST[..], &["--admin-token", TOKEN], &flags].concat());
        let home = || app.get(&format!("/-/token/{TOKEN}/?lang=en"));
        assert!(home().text().contains("<a href=\"-/status?lang=en\">Status"), "{}", home().text());
        for name in ["otters", "heron", "kettle"] {
            assert_eq!(app.get(&format!("/{name}/rss")).status, 200);
        }
        wait_until("the channels are archived", || home().text().contains("All 3 channels"));
        let home = home();
        assert_eq!(home.header("Cache-Control"), Some("no-store"));
        let (_, list) = home.text().split_once("<ul class=\"channels\">").unwrap();
        let (list, rest) = list.split_once("</ul>").unwrap();
        let links: Vec<&str> =
            list.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(links, ["otters?lang=en", "kettle?lang=en", "heron?lang=en"]);
        assert!(list.contains("datetime=\"2026-05-01T08:12:00Z\""), "{list}");
        assert!(rest.contains("<a href=\"-/status?lang=en\">All 3 channels"), "{rest}");
        assert!(!app.get("/?lang=en").text().contains("otters"));
    }
}

#[test]
fn page_of_several_channels_lists_unreadable_ones() {
    let (fake, app) = three_channels(&FAST);
    fake.on("/s/nobody_here", Answer::redirect("/nobody_here"));
    fake.on("/nobody_here", Answer::page(&page("landing_nobody")));
    let shown = app.get("/heron,kettle,nobody_here?lang=en");
    let (_, header) = shown.text().split_once("<header class=\"about\">").unwrap();
    let (header, rest) = header.split_once("</header>").unwrap();
    assert_eq!(header.matches("@kettle").count(), 1, "{header}");
    assert!(header.contains("<p class=\"note\">Cannot be read: @nobody_here. </p>"), "{header}");
    assert!(rest.contains("placeholder=\"Search in these channels\""), "{rest}");
}

/// A post that is older than all archived ones has no page here.
#[test]
fn reply_leads_to_a_page_here_only_if_the_post_is_archived() {
    let fake = FakeTelegram::start();
    let html = page("reply");
    let at = html.rfind("t.me/bell_buoy/41\"").unwrap();
    let html = html[..at].to_owned() + &html[at..].replacen("/41\"", "/7\"", 1);
    fake.on("/s/bell_buoy", Answer::page(&html));
    fake.on("/s/harbour_news", Answer::page(&page("text")));
    let app = App::start(&fake.url(), &[]);
    for target in ["/bell_buoy", "/bell_buoy,harbour_news"] {
        let shown = app.get(target);
        assert_eq!(shown.status, 200, "{target}: {}", shown.text());
        for link in ["bell_buoy/41", "https://t.me/bell_buoy/7", "https://t.me/other_buoy/7"] {
            assert!(shown.text().contains(&format!("<a href=\"{link}\"")), "{target}: {link}");
        }
        assert!(!shown.text().contains("<a href=\"bell_buoy/7\""), "{target}");
    }
    let single = |id: u32| app.get(&format!("/bell_buoy/{id}"));
    assert!(single(42).text().contains("<a href=\"../bell_buoy/41\""), "{}", single(42).text());
    assert!(single(44).text().contains("<a href=\"https://t.me/bell_buoy/7\""), "{}", single(44).text());
}
