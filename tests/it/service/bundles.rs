//! Bundles: named feeds of several channels in the settings file.

use std::fs;

use serde_json::Value;

use super::several_channels::{FAST, ids, parsed, three_channels};
use crate::support::app::{App, new_folder, run};
use crate::support::fake_telegram::FakeTelegram;
use crate::support::http::Response;
use crate::support::wait::wait_until;

const NEWS: &str = "[bundle.news]\nchannels = [\"kettle\", \"@heron\"]\n";

/// Starts a service with three channels and this settings file.
fn service_with(settings: &str, flags: &[&str]) -> (FakeTelegram, App) {
    let (fake, app) = three_channels(&FAST);
    let folder = app.stop();
    fs::write(folder.join("telewire.toml"), settings).unwrap();
    let flags = [&FAST[..], &["--config", "telewire.toml"], flags].concat();
    let app = App::start_in(folder, &fake.url(), &flags);
    (fake, app)
}

fn self_url(app: &App, feed: &Value) -> String {
    let url = feed["feed_url"].as_str().unwrap();
    url.split_once(&app.address.to_string()).unwrap().1.to_owned()
}

#[test]
fn a_bundle_is_the_feed_of_its_channels_under_its_own_name() {
    let settings = format!(
        "{NEWS}title = \"The News\"\n[bundle.all-3]\nchannels = [\"heron\", \"kettle\", \"otters\"]\n"
    );
    let (_fake, app) = service_with(&settings, &[]);
    let (bundle, list) = (parsed(&app.get("/-/bundle/news/json")), parsed(&app.get("/heron,kettle/json")));
    assert_eq!(bundle["items"], list["items"], "the entries are those of the channels");
    assert_eq!((&bundle["title"], &list["title"]), (&"The News".into(), &"heron, kettle".into()));
    assert_eq!(self_url(&app, &bundle), "/-/bundle/news/json");
    assert_eq!(bundle["home_page_url"], format!("http://{}/-/bundle/news", app.address));
    for format in ["rss", "atom", "json"] {
        let answer = app.get(&format!("/-/bundle/all-3/{format}"));
        assert_eq!(feed_rs::parser::parse(&*answer.body).unwrap().entries.len(), 9, "{format}");
    }
    for (target, status, location) in [
        ("/-/bundle/News/rss", 301, "../../../-/bundle/news/rss"),
        ("/-/bundle/news.atom?limit=5", 301, "../../-/bundle/news/atom?limit=5"),
        ("/-/bundle/json/news", 301, "../../../-/bundle/news/json"),
    ] {
        let answer = app.get(target);
        assert_eq!((answer.status, answer.header("Location")), (status, Some(location)), "{target}");
    }
    let page = app.get("/-/bundle/news");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("href=\"../../-/bundle/news/atom\""), "{}", page.text());
    for target in ["/-/bundle/sports/rss", "/-/bundle/sports", "/-/bundle/news/xml", "/-/bundle/a,b/rss"] {
        let answer = app.get(target);
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.text().starts_with("There is no bundle \""), "{}", answer.text());
    }
}

#[test]
fn options_of_a_bundle_hold_unless_the_url_has_others() {
    let options = "options = \"match=post&limit=2&title=kind\"\n";
    let (_fake, app) = service_with(&format!("{NEWS}{options}"), &[]);
    for (query, expected, own) in [
        ("", &["kettle/3", "heron/3"][..], ""),
        ("?limit=3", &["kettle/3", "heron/3", "kettle/2"], "?limit=3"),
        ("?limit=2&match=Post", &["kettle/3", "heron/3"], ""),
        ("?match=/Post+1/&utm_source=x", &["kettle/1", "heron/1"], "?match=/Post+1/"),
        ("?title=auto", &["kettle/3", "heron/3"], "?title=auto"),
    ] {
        let feed = parsed(&app.get(&format!("/-/bundle/news/json{query}")));
        let expected: Vec<String> = expected.iter().map(|id| format!("https://t.me/{id}")).collect();
        assert_eq!(ids(&feed), expected, "{query}");
        assert_eq!(self_url(&app, &feed), format!("/-/bundle/news/json{own}"));
        let same = app.get(&self_url(&app, &feed));
        assert_eq!(parsed(&same), feed, "{query}: the feed's own URL is the same feed");
    }
    let wrong = app.get("/-/bundle/news/json?ids=number");
    assert_eq!(wrong.status, 400, "{}", wrong.text());
}

#[test]
fn form_of_a_bundle_can_choose_the_default_of_every_option() {
    let options = "options = \"match=post&limit=2&title=kind&hide=preview,buttons\"\n";
    let (_fake, app) = service_with(&format!("{NEWS}{options}"), &[]);
    let page = app.get("/-/bundle/news");
    assert!(page.text().contains("<input type=\"hidden\" name=\"hide\">"), "{}", page.text());
    // What a browser sends for empty fields, cleared boxes and the first choices.
    let sent = app.get("/-/bundle/news?match=&limit=&title=&hide=&only=&format=rss");
    let canonical = "?limit=&match=&hide=&title=auto";
    let page = format!("-/bundle/news{canonical}");
    assert_eq!((sent.status, sent.header("Location")), (303, Some(&*format!("../../{page}"))));
    let page = app.get(&format!("/{page}"));
    assert_eq!(page.status, 200);
    let feed = format!("/-/bundle/news/rss{}", canonical.replace('&', "&amp;"));
    assert!(page.text().contains(&feed), "{}", page.text());
    let feed = parsed(&app.get(&format!("/-/bundle/news/json{canonical}")));
    let others = parsed(&app.get("/heron,kettle/json"));
    assert_eq!((&feed["items"], ids(&feed).len()), (&others["items"], 6));
    let kept = app.get("/-/bundle/news?match=&limit=&title=kind&hide=&hide=buttons");
    assert_eq!(kept.header("Location"), Some("../../-/bundle/news?limit=&match=&hide=buttons"));
}

#[test]
fn access_rules_reach_bundles() {
    const TOKEN: &str = "0123456789abcdef";
    let settings = format!("{NEWS}[bundle.denied]\nchannels = [\"otters\"]\n");
    let (_fake, app) = service_with(&settings, &["--token", TOKEN, "--deny-channels", "otters,kettle"]);
    assert_eq!(app.get("/-/bundle/news/rss").status, 401);
    let ask = |path: &str| app.get(&format!("/-/token/{TOKEN}{path}"));
    let feed = parsed(&ask("/-/bundle/news/json"));
    assert!(ids(&feed).iter().all(|id| id.contains("/heron/")), "{feed}");
    assert!(feed["description"].as_str().unwrap().starts_with("Cannot be read: @kettle. "), "{feed}");
    assert_eq!(app.get(&format!("/-/bundle/news/rss?token={TOKEN}")).status, 200);
    assert_eq!(ask("/-/bundle/denied/rss").status, 403);
    assert_eq!(ask("/-/bundle/News/rss").header("Location"), Some("../../../-/bundle/news/rss"));
    assert_eq!(ask("/-/metrics").status, 401);
    let page = app.get(&format!("/-/bundle/news?token={TOKEN}"));
    assert_eq!(page.header("Location"), Some(&*format!("../../-/token/{TOKEN}/-/bundle/news")));
}

#[test]
fn mistakes_in_bundles_are_named_with_their_lines() {
    let folder = new_folder();
    let file = folder.join("telewire.toml");
    let path = file.to_str().unwrap();
    let lines = "rate = 0\n[bundle.News]\nchannels = [\"heron\"]\n[bundle.a]\n[bundle.b]\nchannels = [\n\"heron\",\n\"x\",\n7]\n\
        options = \"limit=0\"\n[bundle.c]\nchannels = \"heron\"\ncolour = 1\ntitle = \" \"\n[bundle.d]\nchannels = [\"heron\"]\n\
        options = \"match=/(/\"\n";
    fs::write(&file, lines).unwrap();
    for command in [&["config", "check", path][..], &["serve", "--config", path]] {
        let wrong = run(command);
        assert_eq!(wrong.code, 2, "{}", wrong.stderr);
        let line = |line: &str| line.rsplit_once(path).unwrap().1[1..].to_owned();
        let named: Vec<String> = wrong.stderr.lines().map(line).collect();
        let expected = [
            "1: rate: ",
            "2: bundle.News: a name consists of",
            "4: bundle.a: a bundle needs at least one channel",
            "8: bundle.b: \"x\" is not a channel",
            "9: bundle.b: \"\" is not a channel",
            "10: bundle.b: options: invalid `limit`",
            "12: bundle.c: channels must be a list",
            "13: bundle.c: unknown key colour",
            "14: bundle.c: title must be a text",
            "17: bundle.d: options: invalid regular expression",
        ];
        assert_eq!(named.len(), expected.len(), "{named:#?}");
        for (named, expected) in named.iter().zip(expected) {
            assert!(named.starts_with(expected), "{named}");
        }
    }
    fs::write(&file, NEWS).unwrap();
    assert_eq!(
        run(&["config", "check", path]).stdout,
        format!("{path}: 0 settings and 1 bundles, all valid\n")
    );
    fs::remove_dir_all(folder).unwrap();
}

/// Bundles are read again at SIGHUP; a broken file changes nothing.
#[test]
fn bundles_are_reloaded() {
    let (_fake, app) = service_with(NEWS, &[]);
    let reload = |settings: &str| {
        fs::write(app.folder.join("telewire.toml"), settings).unwrap();
        app.signal("-HUP");
    };
    let title = |answer: Response| parsed(&answer)["title"].as_str().unwrap().to_owned();
    let news = "/-/bundle/news/json";
    assert_eq!(ids(&parsed(&app.get(news))).len(), 6);
    reload(
        "[bundle.news]\ntitle = \"Otters\"\nchannels = [\"otters\"]\n[bundle.more]\nchannels = [\"heron\"]\n",
    );
    wait_until("the feed is that of the new bundle", || title(app.get(news)) == "Otters");
    assert_eq!(ids(&parsed(&app.get(news))).len(), 3);
    assert_eq!(app.get("/-/bundle/more/json").status, 200);
    reload("[bundle.news]\nchannels = [\"x\"]\n");
    wait_until("the mistake is logged", || app.log().iter().any(|line| line.contains("telewire.toml:2: ")));
    assert_eq!(title(app.get(news)), "Otters");
    assert_eq!(app.get("/-/bundle/more/json").status, 200);
    // The settings of the service itself are those of the start.
    reload("cache-size = \"90MB\"\nrefresh-wait = \"1s\"\n");
    wait_until("the bundle is gone", || app.get(news).status == 404);
    let named = |line: &String| line.contains("cache-size, refresh-wait");
    wait_until("the other settings are named", || app.log().iter().any(named));
    let n_named = app.log().iter().filter(|line| named(line)).count();
    reload(NEWS);
    wait_until("the bundle is back", || app.get(news).status == 200);
    // The test sets the rate by a flag and the format of the log by a variable.
    reload("rate = 7\nlog-format = \"json\"\nmedia = \"direct\"\n");
    wait_until("the next change is named", || app.log().iter().any(|line| line.contains("\"media\"")));
    let n_named_now = app.log().iter().filter(|line| named(line)).count();
    assert_eq!(n_named_now, n_named, "nothing differs from the start");
}
