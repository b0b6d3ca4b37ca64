//! The rules of the table, and what a table cannot say.

use super::table::Becomes;
use super::*;
use table::RULES;

const OLD_URL: &str = "https%3A%2F%2Frsshub.example%2Ftelegram%2Fchannel%2Fharbour_news";

fn moved(url: &str, named: &[&str]) -> Moved {
    let named: Vec<MovedFrom> = named.iter().map(|from| from.parse().unwrap()).collect();
    parse_url(url, &named).unwrap().unwrap_or_else(|| panic!("{url} is not recognized"))
}

#[test]
fn every_rule_does_what_its_example_says() {
    for rule in RULES {
        let (from, to) = rule.example;
        let url = match rule.part {
            UrlPart::RouteParams => format!("https://h/telegram/channel/harbour_news/{from}"),
            UrlPart::Rsshub => format!("https://h/telegram/channel/harbour_news?{from}"),
            UrlPart::RssBridge => {
                format!(
                    "https://h/?{from}&action=display&bridge=TelegramBridge&username=harbour_news&format=Mrss"
                )
            }
            UrlPart::Filter => {
                format!("https://h/?{from}&action=display&bridge=Filter&format=Mrss&url={OLD_URL}")
            }
            UrlPart::Merge => {
                format!("https://h/?{from}&action=display&bridge=FeedMerge&format=Mrss&feed_1={OLD_URL}")
            }
            UrlPart::NamePath => format!("https://tg.i-c-a.su/rss/harbour_news?{from}"),
            UrlPart::BareName => format!("https://h/harbour_news?{from}"),
            UrlPart::Site => format!("https://blog.example/rss.xml?{from}"),
        };
        let moved = moved(&url, &["blog.example=@harbour_news"]);
        let query = moved.query();
        let options: Vec<&str> = query.split('&').filter(|option| !option.starts_with("ids=")).collect();
        assert!(from.contains(&format!("{}=", rule.parameter)), "{}: {from}", rule.parameter);
        assert_eq!(options.join("&"), to, "{url}");
        let is_lost = matches!(rule.becomes, Becomes::Lost | Becomes::LostIfFalse);
        assert_eq!(moved.lost, if is_lost { vec![rule.parameter] } else { vec![] }, "{url}");
        assert_eq!(moved.token.is_some(), matches!(rule.becomes, Becomes::Token), "{url}");
    }
}

#[test]
fn filters_that_no_feed_accepts_are_lost() {
    let long = "word|".repeat(200);
    for filter in ["(?=x)", "(?<!x)y", "(a)\\1", "a{100}", "(((", &long] {
        let encoded: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let moved =
            moved(&format!("https://h/telegram/channel/harbour_news?filterout={encoded}&filter=tide"), &[]);
        assert_eq!(moved.query(), "match=/tide/&case=sensitive", "{filter}");
        assert_eq!(moved.lost, ["exclude"], "{filter}");
    }
}

#[test]
fn ids_follow_the_named_bridge() {
    for (url, named, ids) in [
        ("https://h/telegram/channel/Harbour_News", "rsshub-session", "ids=preview"),
        ("https://h/telegram/channel/Harbour_News/showViaBot=1", "rsshub-session", ""),
        ("https://h/telegram/channel/Harbour_News", "other.example=rsshub-session", ""),
        ("https://h/telegram/channel/Harbour_News", "h=tgfeed", "ids=number"),
        ("https://h/telegram/channel/Harbour_News", "tg2rss", "ids=https://t.me/Harbour_News/"),
        ("https://tg.i-c-a.su/rss/harbour_NEWS", "tg.i-c-a.su", "ids=https://t.me/harbour_NEWS/"),
        ("https://h/rss/harbour_news", "h=telegram2rss", "ids=bare"),
        ("https://blog.example/rss.json", "blog.example=@harbour_news", "ids=https://blog.example/posts/"),
        ("https://blog.example/x/rss.xml", "blog.example=@harbour_news", "ids=https://blog.example/x/posts/"),
    ] {
        assert_eq!(moved(url, &[named]).query(), ids, "{url} from {named}");
    }
    for invalid in
        ["", "rsshub", "@harbour_news", "h=", "h=@x", "h=nobody", "https://h=tgfeed", "h:80=tgfeed"]
    {
        assert!(invalid.parse::<MovedFrom>().is_err(), "{invalid}");
    }
}

#[test]
fn urls_of_other_sites_are_not_recognized() {
    for url in [
        "https://example.org/feed",
        "https://example.org/rss/harbour_news",
        "https://example.org/rss/harbour_news?page=2",
        "https://example.org/json/news/2",
        "https://example.org/harbour_news?token=secret",
        "https://example.org/rss.xml",
        "https://example.org/index.php?page=2",
        "https://t.me/s/harbour_news",
        "rsshub://rss/harbour_news/2",
        "rsshub://bilibili/user/video/2",
        "feed:https://example.org",
        "not a url",
        "",
    ] {
        assert_eq!(parse_url(url, &["tgfeed".parse().unwrap()]), Ok(None), "{url}");
    }
    for path in ["/harbour_news/rss", "/rss/harbour_news", "/rss/harbour_news/json", "/json/rss", "/", "/rss"]
    {
        assert_eq!(parse(path, "limit=5&x=1"), Ok(None), "{path}");
    }
}

#[test]
fn urls_without_a_counterpart_are_errors() {
    for (path, query, expected) in [
        ("/telegram/channel/harbour_news", "format=ums", "unknown format"),
        ("/telegram/channel/x", "", "is not a channel"),
        ("/telegram/channel/harbour_news/12345", "", "no counterpart"),
        ("/telegram/channel/harbour_news/a/b", "", "no counterpart"),
        ("/", "action=display&bridge=YoutubeBridge&format=Atom", "not \"YoutubeBridge\""),
        ("/", "action=findfeed&url=https://t.me/harbour_news", "not \"findfeed\""),
        ("/", "action=display&bridge=Telegram&format=Sfeed&username=harbour_news", "unknown format"),
        ("/", "action=display&bridge=Telegram&format=Atom", "is not a channel"),
        (
            "/",
            "action=display&bridge=Filter&format=Atom&url=https://example.org",
            "not \"https://example.org\"",
        ),
        ("/", "action=display&bridge=FeedMerge&format=Atom", "not \"FeedMerge\""),
        ("/rss/-1001234567890", "merge_seconds=5", "is the number of a chat"),
    ] {
        let error = parse(path, query).unwrap_err().to_string();
        assert!(error.contains(expected), "{path}?{query}: {error}");
    }
    // Each level encodes the URL inside once more.
    let mut url = "https://h/telegram/channel/harbour_news".to_owned();
    for depth in 0..5 {
        assert_eq!(parse_url(&url, &[]).is_ok(), depth <= MAX_NESTING.into(), "{depth}");
        let inner: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
        url = format!("https://h/?action=display&bridge=Filter&format=Atom&url={inner}");
    }
}

#[test]
fn filters_keep_their_meaning_when_they_differ_in_case() {
    let inner = format!("{OLD_URL}%3Fexclude%3DTon%257CGram%2Bcoin");
    let url = format!(
        "https://h/?action=display&bridge=Filter&format=Atom&filter=Tide&filter_type=block&url={inner}"
    );
    let expected =
        "exclude=/%28%3Fi%29Ton/&exclude=/%28%3Fi%29Gram+coin/&exclude-title=/Tide/&case=sensitive";
    assert_eq!(moved(&url, &[]).query(), expected);
    let two = "https://h/telegram/channel/harbour_news?filter_description=a&filter_author=b";
    let moved = moved(two, &[]);
    assert_eq!(
        (moved.query().as_str(), moved.lost),
        ("match=/a/&case=sensitive", vec!["filter_author".to_owned()])
    );
}

#[test]
fn words_of_any_kind_and_number_become_filters() {
    let query =
        |words: &str| moved(&format!("https://h/telegram/channel/harbour_news?exclude={words}"), &[]).query();
    assert_eq!(query("24%22|/etc|a%20%22b%22%20c"), "exclude=24%22&exclude=%22/etc%22&exclude=/a+%22b%22+c/");
    let many: Vec<String> = (0..30).map(|n| format!("w.{n}")).collect();
    let expression = many.join("%7C").replace('.', "%5C.");
    assert_eq!(query(&many.join("|")), format!("exclude=/{expression}/"));
}

#[test]
fn feeds_with_different_options_are_merged_without_them() {
    let url = |second: &str| {
        format!(
            "https://h/?action=display&bridge=FeedMerge&format=Json&feed_1={OLD_URL}%3Flimit%3D5&feed_2={second}"
        )
    };
    let same = moved(&url("rsshub%3A%2F%2Ftelegram%2Fchannel%2Ftidewatch%3Flimit%3D5"), &[]);
    assert_eq!(
        (same.path_and_query().as_str(), same.lost.len()),
        ("/harbour_news,tidewatch/json?limit=5", 0)
    );
    let other = moved(&url("rsshub%3A%2F%2Ftelegram%2Fchannel%2FBlue_Lamp"), &[]);
    assert_eq!(other.path_and_query(), "/blue_lamp,harbour_news/json");
    assert_eq!(other.lost, ["limit"]);
}

/// Beginnings of old URLs, and pieces that follow at random.
const STARTS: [&str; 4] = [
    "/telegram/channel/harbour_news",
    "/rss/harbour_news",
    "/x/?action=display&bridge=Telegram&username=harbour_news&format=Json",
    "/?action=display&bridge=Filter&format=Atom&url=rsshub%3A%2F%2Ftelegram%2Fchannel%2Fharbour_news",
];
const PIECES: [&str; 21] = [
    "/",
    "?",
    "&",
    "=",
    ".atom",
    "json",
    "%25",
    "%23",
    "1",
    "?format=atom",
    "showViaBot=0",
    "&filter=",
    "&exclude=a|b",
    "&exclude_text=\"a",
    "&key=x",
    "&id=5",
    "?count=",
    "&filter_title=(?i",
    "tag",
    "%F0%9F",
    "&case_insensitive=on",
];

proptest::proptest! {
    #[test]
    fn any_url_becomes_one_that_is_not_of_another_bridge(
        start in proptest::sample::select(&STARTS[..]),
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..12),
        noise in ".{0,8}",
    ) {
        let url = [start, &pieces.concat(), &noise].concat();
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        if let Ok(Some(moved)) = parse(path, query) {
            let own = moved.path_and_query();
            assert!(own.bytes().all(|byte| byte.is_ascii_graphic()), "{url}: {own}");
            assert_eq!(parse(&moved.path(), &moved.query()), Ok(None), "{url}");
            assert!(Url::parse(&format!("https://h{own}")).is_ok(), "{url}: {own}");
        }
    }
}

#[test]
fn names_of_lost_parameters_are_harmless() {
    let moved = moved("https://h/telegram/channel/harbour_news?a%0D%0Ab=1&%22%3E=1&tgiv=x", &[]);
    assert_eq!(moved.lost, ["ab", "tgiv"]);
}
