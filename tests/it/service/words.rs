//! The words of pages: what people read is in their language, and nothing of it is English by mistake.

use regex::Regex;
use telewire::language::{Language, Problem};

use super::opml::post_with;
use super::{PREVIEW, service};
use crate::support::app::App;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::http::Response;
use crate::support::{assert_no_failures, page};

const ADMIN: &str = "an-admins-own-secret";

/// Channels without posts: the page that Telegram shows for each, and the problem.
const CHANNELS: [(&str, Problem); 10] = [
    ("landing_nobody", Problem::NoChannel),
    ("landing_user", Problem::Person),
    ("landing_bot", Problem::Bot),
    ("landing_group", Problem::Group),
    ("landing_invite_group", Problem::PrivateChat),
    ("landing_preview_off", Problem::PreviewOff),
    ("landing_banned", Problem::Blocked),
    ("no_posts_empty", Problem::EmptyChannel),
    ("no_posts_soft_ban", Problem::TelegramLimits),
    ("cut_short", Problem::TelegramUnreadable),
];

/// URLs that lead to a problem, and what the field for a channel has then.
const URLS: [(&str, Problem, &str); 26] = [
    ("/?channel=not+a+channel!", Problem::NotAChannel, "not a channel!"),
    ("/?channel=harbour_news,no!", Problem::NotAChannel, "harbour_news,no!"),
    ("/?channel=https://t.me/%2Babcdefgh", Problem::PrivateChat, "https://t.me/+abcdefgh"),
    ("/?channel=-1001234567890", Problem::ChatNumber, "-1001234567890"),
    ("/https:%2F%2Ft.me%2Fs%2Fharbour_news%3Fq=otter", Problem::SearchLink, "harbour_news"),
    (
        "/?channel=pier_talk,+t.me/s/harbour_news?q=otter,low",
        Problem::SearchLink,
        "pier_talk, harbour_news, low",
    ),
    (
        "/?channel=t.me/s/harbour_news?q=otter%20t.me/pier_talk",
        Problem::SearchLink,
        "harbour_news, t.me/pier_talk",
    ),
    ("/?channel=a&channel=b", Problem::BadRequest, "a"),
    ("/-/nothing", Problem::NoPage, ""),
    ("/?action=display&bridge=GithubTrending&format=Atom", Problem::OtherService, ""),
    ("/telegram/channel/landing%20x", Problem::NotAChannel, "landing x"),
    ("/harbour_news/xml", Problem::UnknownFormat, "harbour_news"),
    ("/-/opml", Problem::NoChannels, ""),
    ("/harbour_news?mach=otter", Problem::MisspelledOption, "harbour_news"),
    ("/harbour_news?limit=many", Problem::OptionValue, "harbour_news"),
    ("/harbour_news?match=/(/", Problem::Pattern, "harbour_news"),
    ("/harbour_news?media=proxy", Problem::MediaNotAllowed, "harbour_news"),
    ("/harbour_news,otter_watch?ids=number", Problem::NotForSeveral, "harbour_news,otter_watch"),
    ("/-/bundle/nothing", Problem::UnknownBundle, ""),
    ("/harbour_news/7", Problem::NotStored, "harbour_news"),
    ("/-/status", Problem::ForOperator, ""),
    ("/denied_pier", Problem::ChannelNotServed, "denied_pier"),
    ("/-/media/x/harbour_news/1/0.jpg", Problem::MediaLink, ""),
    ("/landing_bot,landing_user", Problem::Bot, "landing_bot,landing_user"),
    ("/status_500", Problem::TelegramDown, "status_500"),
    ("/landing_bot/rss", Problem::Bot, "landing_bot"),
];

fn start() -> (FakeTelegram, App) {
    let flags =
        ["--admin-token", ADMIN, "--burst", "200", "--media", "direct", "--deny-channels", "denied_*"];
    let (fake, app) = service(&flags);
    for (name, _) in CHANNELS {
        fake.on(&format!("/s/{name}"), Answer::redirect(&format!("https://t.me/{name}")));
        fake.on(&format!("/{name}"), Answer::page(&page(name)));
    }
    fake.on("/s/status_500", Answer::status(500));
    (fake, app)
}

fn open(app: &App, target: &str, language: Language) -> Response {
    app.ask("GET", target, &[("Accept", "text/html"), ("Accept-Language", language.subtag())])
}

/// Returns the HTML without the elements that are marked as English. None of them contains one with its own name.
fn without_english(html: &str) -> String {
    let mut rest = html.to_owned();
    while let Some(at) = rest.find(" lang=\"en\"") {
        let start = rest[..at].rfind('<').unwrap();
        let name = rest[start + 1..].split([' ', '>']).next().unwrap();
        let closing = format!("</{name}>");
        let end = start + rest[start..].find(&closing).unwrap() + closing.len();
        rest.replace_range(start..end, "");
    }
    rest
}

/// Stands for a file over the limit.
const LARGE: &str = "large";

/// Forms with a list of subscriptions, each with its problem.
const UPLOADS: [(Problem, &[(&str, &str)]); 6] = [
    (Problem::NotOpml, &[("opml", "not a list")]),
    (Problem::OpmlDamaged, &[("opml", "<opml><outline xmlUrl=\"rsshub://tele")]),
    (Problem::OpmlTooLarge, &[("opml", LARGE)]),
    (Problem::UnknownBridge, &[("opml", "<opml/>"), ("moved-from", "nobody")]),
    (Problem::NoFile, &[("other", "")]),
    (Problem::NoFile, &[("opml", "")]),
];

/// Returns the pieces of three words and more in the table of a language.
fn phrases(language: Language) -> Vec<String> {
    let table = format!("{:?}", language.words().page);
    let texts = table.split('"').skip(1).step_by(2).flat_map(|text| text.split("{}"));
    let texts = texts.map(|text| text.trim().trim_end_matches('.').to_owned());
    texts.filter(|text| text.split_whitespace().count() > 2).collect()
}

/// Returns the English phrases on a page of another language.
fn english_in(html: &str, language: Language) -> Vec<String> {
    let (html, own) = (without_english(html).replace("&quot;", "\""), phrases(language));
    let english = phrases(Language::English).into_iter();
    english.filter(|phrase| !own.contains(phrase) && html.contains(phrase.as_str())).collect()
}

/// Describes the mistakes of a problem's page, if it has any.
fn mistake(answer: &Response, language: Language, problem: Problem, typed: &str) -> Option<String> {
    let html = answer.text();
    let words = language.words().page.problems.get(problem);
    let parts = words.why.split("{}").chain(words.advice.iter().copied()).chain([words.title]);
    let missing: Vec<_> = parts.filter(|part| !html.contains(part)).collect();
    let english = if language == Language::English { Vec::new() } else { english_in(html, language) };
    let is_of_opml = UPLOADS.iter().any(|(of_opml, _)| *of_opml == problem) || problem == Problem::NoChannels;
    let has_upload = html.contains("type=\"file\"");
    let has_typed = html.contains(&format!("type=\"text\" value=\"{typed}\""));
    let has_form = has_upload == is_of_opml && has_typed != is_of_opml;
    let is_right = missing.is_empty() && english.is_empty() && has_form && !html.contains("{}");
    (!is_right).then(|| {
        format!(
            "{language:?} {problem:?} {}: missing {missing:?}, English {english:?}\n{html}",
            answer.status
        )
    })
}

#[test]
fn error_pages_explain_each_problem_in_every_language() {
    let (_fake, app) = start();
    assert_eq!(open(&app, "/harbour_news", Language::English).status, 200);
    let mut failures = Vec::new();
    for language in Language::ALL {
        for (name, problem) in CHANNELS {
            let answer = open(&app, &format!("/{name}"), language);
            failures.extend(mistake(&answer, language, problem, name));
        }
        for (target, problem, typed) in URLS {
            let answer = open(&app, target, language);
            let mistake = mistake(&answer, language, problem, typed);
            failures.extend(mistake.map(|mistake| format!("{target}: {mistake}")));
        }
        let several = open(&app, "/landing_bot,landing_user", language);
        let one = open(&app, "/landing_bot", language);
        let says_so = |page: &Response| page.text().contains(language.words().page.none_of_several);
        assert!(says_so(&several) && !says_so(&one), "{language:?}");
        let many = (0..51).map(|n| format!("name_{n}")).collect::<Vec<_>>().join(",");
        let answer = open(&app, &format!("/{many}"), language);
        failures.extend(mistake(&answer, language, Problem::TooManyChannels, &many));
        let large = "<opml>".to_owned() + &" ".repeat(5 << 20);
        for (problem, fields) in UPLOADS {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| (*name, if *value == LARGE { large.as_str() } else { value }))
                .collect();
            let headers = [("Accept", "text/html"), ("Accept-Language", language.subtag())];
            let answer = post_with(&app, "/-/opml", &fields, &headers);
            failures.extend(mistake(&answer, language, problem, ""));
            let typed = fields.iter().find(|(name, _)| *name == "moved-from").map_or("", |(_, value)| value);
            let has_typed = answer.text().contains(&format!("name=\"moved-from\" value=\"{typed}\""));
            assert!(has_typed && language_links(&answer).is_empty(), "{problem:?}: {}", answer.text());
        }
    }
    assert_no_failures(&failures);
    let failing = open(&app, "/status_500", Language::English);
    let wait: u64 = failing.header("Retry-After").unwrap().parse().unwrap();
    let seconds = failing.text().split("<li>Wait ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(seconds.parse::<u64>().unwrap().abs_diff(wait) <= 1, "{seconds} {wait}");
}

/// Returns the relative URLs of a page in other languages.
fn language_links(answer: &Response) -> Vec<(Language, String)> {
    let links = answer.text().split("<a href=\"?").skip(1).filter_map(|rest| {
        let (query, rest) = rest.split_once("\" lang=\"")?;
        Some((Language::from_subtag(rest.split(['-', '"']).next()?)?, query.replace("&amp;", "&")))
    });
    links.collect()
}

#[test]
fn language_links_of_error_pages_lead_to_the_same_error() {
    let (fake, app) = start();
    fake.on("/s/tidewatch", Answer::page(&page("photo").replace("https://cdn4.telesco.pe", &fake.url())));
    let media = App::start(&fake.url(), &["--media-hosts", &fake.host()]);
    let feed = media.get("/tidewatch/rss");
    let file = feed.text().split("/-/media/").nth(1).unwrap().split(['"', '<']).next().unwrap();
    let media = App::start_in(media.stop(), &fake.url(), &["--media-hosts", "elsewhere.example"]);
    let urls = URLS.iter().map(|(target, problem, _)| (&app, (*target).to_owned(), *problem));
    let files =
        ["", "?redirect"].map(|query| (&media, format!("/-/media/{file}{query}"), Problem::MediaNotSent));
    for (app, target, problem) in urls.chain(files) {
        let shown = open(app, &target, Language::English);
        let links = language_links(&shown);
        assert_eq!(links.len(), 3, "{target}: {}", shown.text());
        for (language, query) in links {
            let path = target.split('?').next().unwrap();
            let other = app.ask("GET", &format!("{path}?{query}"), &[("Accept", "text/html")]);
            let title = format!("<h1>{}</h1>", language.words().page.problems.get(problem).title);
            assert_eq!(other.status, shown.status, "{target} {query}: {}", other.text());
            assert!(other.text().contains(&title), "{target} {query}: {}", other.text());
        }
    }
}

/// Feed readers and scripts get the error in English, on one line.
#[test]
fn error_for_a_feed_reader_is_plain_english() {
    let (_fake, app) = start();
    for (target, _, _) in URLS {
        let answer = app.ask("GET", target, &[("Accept-Language", "ru")]);
        assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"), "{target}");
        assert_eq!(answer.text().lines().count(), 1, "{target}: {}", answer.text());
        let russian = answer.text().chars().find(|c| ('а'..='я').contains(c));
        assert_eq!(russian, None, "{target}: {}", answer.text());
    }
}

#[test]
fn status_page_says_in_every_language_why_feeds_do_not_move() {
    let (fake, app) = start();
    fake.on(PREVIEW, Answer::page(&page("text")));
    for name in ["harbour_news", "landing_bot", "landing_preview_off", "status_500"] {
        app.get(&format!("/{name}/rss"));
    }
    let raw_time = Regex::new(r"\d{4}-\d\d-\d\dT").unwrap();
    let tags = Regex::new("<[^>]*>").unwrap();
    for language in Language::ALL {
        let answer = open(&app, &format!("/-/token/{ADMIN}/-/status"), language);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let html = answer.text();
        let words = &language.words().page;
        for problem in [Problem::Bot, Problem::PreviewOff, Problem::TelegramDown] {
            let why = words.problems.get(problem).why;
            assert!(html.contains(why), "{language:?}: {why}: {html}");
        }
        let paused = words.status_page.paused.split("{}").next().unwrap();
        assert!(html.contains(&format!("{paused}<time datetime=")), "{language:?}: {html}");
        assert!(html.contains("<h2>Telegraph: "), "{language:?}: {html}");
        assert!(!raw_time.is_match(&tags.replace_all(html, " ")), "{language:?}: {html}");
        if language != Language::English {
            assert_eq!(english_in(html, language), [""; 0], "{language:?}: {html}");
        }
    }
}

#[test]
fn home_page_has_no_english_in_other_languages() {
    let (_fake, app) = start();
    for language in [Language::Russian, Language::Persian, Language::Chinese] {
        let answer = open(&app, "/", language);
        assert_eq!(english_in(answer.text(), language), [""; 0], "{language:?}");
        let in_english = open(&app, "/", Language::English).text().replace("<html lang=\"en\"", "<html");
        assert!(!english_in(&in_english, language).is_empty(), "English is noticed");
    }
}
