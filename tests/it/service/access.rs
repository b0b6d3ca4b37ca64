//! Access control: tokens, allowed channels, client rate limits, and the configuration of these.

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{PREVIEW, RSS, service};
use crate::support::app::{App, run, run_with};
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::{CHANNEL, assert_no_failures, page};

const TOKEN: &str = "0123456789abcdef";
const OTHER: &str = "an-other-secret-of-mine";

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

#[test]
fn token_is_required_and_accepted_in_every_place() {
    let (fake, app) = service(&["--token", &format!("{TOKEN},{OTHER}")]);
    let as_password = basic("me", TOKEN);
    let as_name = basic(OTHER, "");
    let bearer = format!("Bearer {TOKEN}");
    let good: [(String, Vec<(&str, &str)>); 7] = [
        (format!("{RSS}?token={TOKEN}"), vec![]),
        (format!("{RSS}?token={OTHER}&limit=5"), vec![]),
        (format!("{RSS}?limit=5&token={TOKEN}"), vec![]),
        (format!("/-/token/{TOKEN}{RSS}"), vec![]),
        (RSS.to_owned(), vec![("Authorization", &as_password)]),
        (RSS.to_owned(), vec![("Authorization", &as_name)]),
        (RSS.to_owned(), vec![("Authorization", &bearer)]),
    ];
    let wrong = TOKEN.replace('0', "1");
    let (wrong_password, nonsense) = (basic("me", &wrong), format!("Basic {TOKEN}"));
    let bad: [(String, Vec<(&str, &str)>); 10] = [
        (RSS.to_owned(), vec![]),
        ("/".to_owned(), vec![]),
        (format!("/{CHANNEL}"), vec![]),
        ("/-/metrics".to_owned(), vec![]),
        // Tokens in the path work only for channels: otherwise this would bypass a proxy rule for /-/metrics.
        (format!("/-/token/{TOKEN}/-/metrics"), vec![]),
        (format!("{RSS}?token={wrong}"), vec![]),
        (format!("{RSS}?token="), vec![]),
        (format!("/-/token/{wrong}{RSS}"), vec![]),
        (RSS.to_owned(), vec![("Authorization", &wrong_password)]),
        (RSS.to_owned(), vec![("Authorization", &nonsense)]),
    ];
    let refused = |what: &str| {
        let mut failures = Vec::new();
        for (target, headers) in &bad {
            let answer = app.ask("GET", target, headers);
            let has_challenge =
                answer.header("WWW-Authenticate").is_some_and(|value| value.starts_with("Basic"));
            if answer.status != 401 || !has_challenge || answer.text().contains(CHANNEL) {
                failures.push(format!("{what} {target} {headers:?}: {answer:?}"));
            }
        }
        assert_no_failures(&failures);
    };
    refused("cold cache:");
    assert_eq!(fake.paths("/"), [""; 0], "a request without a token reached Telegram");
    let mut bodies = Vec::new();
    for (target, headers) in &good {
        let answer = app.ask("GET", target, headers);
        assert_eq!(answer.status, 200, "{target} {headers:?}: {}", answer.text());
        let caching = answer.header("Cache-Control").unwrap();
        assert!(caching.starts_with("private, max-age="), "{target}: {caching}");
        if !target.contains("limit") {
            bodies.push(answer.body);
        }
    }
    assert!(bodies.windows(2).all(|two| two[0] == two[1]), "the feed depends on the token");
    assert!(!String::from_utf8_lossy(&bodies[0]).contains(TOKEN));
    refused("warm cache:");
    for open in ["/-/healthz", "/-/readyz"] {
        assert_eq!(app.get(open).status, 200, "{open}");
    }
    let metrics = app.get(&format!("/-/metrics?token={TOKEN}"));
    assert_eq!(metrics.status, 200);
    assert!(!metrics.text().contains(CHANNEL) && !metrics.text().contains(TOKEN), "{}", metrics.text());
    for secret in [TOKEN, OTHER] {
        assert!(!app.log().iter().any(|line| line.contains(secret)));
    }
}

/// The links of the page of an error are relative, so they have the token if the page's URL has it in the path.
#[test]
fn error_page_has_the_token_in_its_path_and_nowhere_else() {
    let limits = ["--client-rate", "1", "--client-burst", "10", "--trusted-proxies", "127.0.0.1"];
    let (_fake, app) = service(&[&limits[..], &["--token", TOKEN]].concat());
    let ask = |method: &str, target: &str, client: &str| {
        app.ask(method, target, &[("Accept", "text/html"), ("X-Forwarded-For", client)])
    };
    let limited = "192.0.2.7";
    while ask("GET", &format!("/-/token/{TOKEN}{RSS}"), limited).status == 200 {}
    for (path, client, status) in [
        ("harbour_news", limited, 429),
        ("no!?limit=5", "192.0.2.8", 400),
        ("harbour_news/xml?limit=5", "192.0.2.9", 404),
        ("harbour_news?limit=many", "192.0.2.10", 400),
    ] {
        let with_token = format!("/-/token/{TOKEN}/{path}");
        let shown = ask("GET", &with_token, client);
        assert_eq!(shown.status, status, "{path}: {}", shown.text());
        let root = "../".repeat(path.matches('/').count());
        assert!(shown.text().contains(&format!("href=\"{root}-/assets/")), "{path}: {}", shown.text());
        assert!(!shown.text().contains(TOKEN), "{path}: {}", shown.text());
        let separator = if path.contains('?') { '&' } else { '?' };
        let in_query = ask("GET", &format!("/{path}{separator}token={TOKEN}"), client);
        let location = format!("{root}{}", &with_token[1..]);
        assert_eq!((in_query.status, in_query.header("Location")), (303, Some(location.as_str())), "{path}");
    }
    let no_host = [("Accept", "text/html"), ("Host", "no host")];
    for before in ["", &format!("/-/token/{TOKEN}")] {
        // The host is checked before the token is removed.
        let of_host = app.ask("GET", &format!("{before}/harbour_news?token={TOKEN}"), &no_host);
        assert!(of_host.status == 400 && !of_host.text().contains(TOKEN), "{}", of_host.text());
    }
    let not_there = ask("GET", &format!("/-/nothing?token={TOKEN}"), "192.0.2.11");
    assert_eq!(not_there.status, 404, "no token may stand before this path");
    let refused = ask("GET", &format!("/-/token/{OTHER}/harbour_news"), "192.0.2.11");
    let (_, stylesheet) = refused.text().split_once("rel=\"stylesheet\" href=\"").unwrap();
    let stylesheet = format!("/-/token/{OTHER}/{}", stylesheet.split('"').next().unwrap());
    assert_eq!((refused.status, ask("GET", &stylesheet, limited).status), (401, 200));
}

#[test]
fn path_that_ends_with_the_token_leads_to_the_home_page() {
    for flags in [&["--token", TOKEN][..], &["--admin-token", TOKEN], &[]] {
        let (_fake, app) = service(flags);
        for (query, location) in [("", ""), ("?lang=ru", "?lang=ru")] {
            let answer = app.get(&format!("/-/token/{TOKEN}{query}"));
            let location = format!("../../-/token/{TOKEN}/{location}");
            assert_eq!((answer.status, answer.header("Location")), (303, Some(location.as_str())));
        }
        assert_eq!(app.get(&format!("/-/token/{TOKEN}/")).status, 200, "{flags:?}");
    }
    let (_fake, app) = service(&["--token", TOKEN]);
    for target in [format!("/-/token/{OTHER}"), "/-/token/".to_owned(), "/-/token".to_owned()] {
        assert_eq!(app.get(&target).status, 401, "{target}");
    }
}

#[test]
fn media_urls_need_no_token_because_they_are_signed() {
    let fake = FakeTelegram::start();
    let html = page("photo").replace("https://cdn4.telesco.pe", &fake.url());
    let name = html.split("data-post=\"").nth(1).unwrap().split('/').next().unwrap();
    fake.on(&format!("/s/{name}"), Answer::page(&html));
    let app = App::start(&fake.url(), &["--token", TOKEN, "--media-hosts", &fake.host()]);
    let feed = app.get(&format!("/{name}/rss?token={TOKEN}"));
    let link = feed.text().split("/-/media/").nth(1).unwrap().split(['"', '<']).next().unwrap();
    // The signature is accepted; the fake has no such file.
    assert_eq!(app.get(&format!("/-/media/{link}")).status, 503);
    assert_eq!(app.get(&format!("/-/media/x{link}")).status, 403);
}

#[test]
fn channel_patterns_match_alias_and_canonical_name() {
    let alias = page("channel_alias");
    let own = alias.split("data-post=\"").nth(1).unwrap().split('/').next().unwrap().to_owned();
    for (flag, allowed, status) in [
        ("--allow-channels", "harbour_*", 200),
        ("--allow-channels", "other_*,HARBOUR_news", 200),
        ("--allow-channels", "other_*", 403),
        ("--deny-channels", "other_*", 200),
        ("--deny-channels", "*_news", 403),
    ] {
        let (fake, app) = service(&[flag, allowed]);
        for target in [RSS, "/harbour_news", "/?channel=@harbour_news", "/harbour_news/json?limit=3"] {
            let answer = app.get(target);
            let status = if status == 200 && target.starts_with("/?") { 303 } else { status };
            assert_eq!(answer.status, status, "{flag} {allowed}: {target}: {}", answer.text());
        }
        assert_eq!(fake.count(PREVIEW) == 0, status == 403);
    }
    let (fake, app) = service(&["--deny-channels", &own]);
    fake.on("/s/saltmill_alias", Answer::page(&alias));
    assert_eq!(app.get("/saltmill_alias/rss").status, 403, "an alias of {own}");
    assert_eq!(app.get("/saltmill_alias/rss?limit=2").status, 403);
    assert_eq!(run(&["serve", "--deny-channels", "a b"]).code, 2);
}

/// Each client behind a trusted proxy has its own limit. Clients on loopback addresses have none.
#[test]
fn client_rate_limit_returns_429_per_client() {
    let flags = ["--client-rate", "1", "--client-burst", "3", "--trusted-proxies", "127.0.0.1"];
    let (_fake, app) = service(&flags);
    let ask = |from: &str| {
        let answer = app.ask("GET", RSS, &[("X-Forwarded-For", from)]);
        (answer.status, answer.header("Retry-After").is_some())
    };
    for _ in 0..3 {
        assert_eq!(ask("192.0.2.7"), (200, false));
    }
    assert_eq!(ask("192.0.2.7"), (429, true));
    assert_eq!(ask("198.51.100.99, 192.0.2.7"), (429, true), "an address added by the client is ignored");
    assert_eq!(ask("192.0.2.8"), (200, false));
    for n in 0..3 {
        assert_eq!(ask(&format!("2001:db8:1:2::{n}")), (200, false));
    }
    assert_eq!(ask("2001:db8:1:2:ffff::1"), (429, true), "an IPv6 /64 network is one client");
    assert_eq!(ask("2001:db8:1:3::1"), (200, false));
    for _ in 0..10 {
        assert_eq!(app.get(RSS).status, 200);
    }
}

#[test]
fn flags_and_variables_override_the_config_file() {
    let (fake, app) = service(&[]);
    let file = app.folder.join("telewire.toml");
    let path = file.to_str().unwrap();
    fs::write(&file, format!("token = {TOKEN:?}\nclient-rate = 7\nfresh-min = \"9m\"\nlog = \"debug\"\n"))
        .unwrap();
    let checked = run(&["config", "check", path]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (0, format!("{path}: 4 settings and 0 bundles, all valid\n").as_str())
    );
    let arguments = ["config", "show", "--config", path, "--fresh-min", "2m"];
    let shown = run_with(&arguments, &[("TELEWIRE_LOG", "warn")], std::process::Stdio::piped());
    let before_command = ["--config", path, "config", "show", "--fresh-min", "2m"];
    assert_eq!(
        run_with(&before_command, &[("TELEWIRE_LOG", "warn")], std::process::Stdio::piped()),
        shown,
        "--config is a flag of every command"
    );
    let line = |name: &str| {
        let line = shown.stdout.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.unwrap().split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    for (name, expected) in [
        ("client-rate", "file 7"),
        ("fresh-min", "flag 2m"),
        ("log", "variable warn"),
        ("burst", "default 40"),
        ("token", "file (not shown)"),
        ("database", "default -"),
    ] {
        assert_eq!(line(name), expected, "{name}");
    }
    assert!(!shown.stdout.contains(TOKEN));
    let app = App::start(&fake.url(), &["--config", path]);
    assert_eq!(app.get(RSS).status, 401);
    fs::write(&file, "rate = 1\n\n\nfresh-min = \"soon\"\n").unwrap();
    for command in [&["config", "check", path][..], &["serve", "--config", path]] {
        let wrong = run(command);
        assert_eq!(wrong.code, 2);
        assert_eq!(wrong.stderr, format!("telewire: {path}:4: fresh-min: must look like 90s, 10m or 1h\n"));
    }
}
