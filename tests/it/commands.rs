//! The commands: their output, error messages and exit codes.

use std::fs::{self, File};
use std::process::Stdio;

use telewire::feed::{self, Format};
use telewire::telegram::page::{self, PageSource};

use crate::support::app::{self, App, Output, run, run_with};
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::{CHANNEL, page, reader};

/// An upstream that refuses connections: nothing listens on port 1.
const UNREACHABLE: &str = "http://127.0.0.1:1";

#[test]
fn get_writes_a_feed_from_a_saved_page() {
    let snapshot = page::parse(&page("text"), PageSource::Saved(None)).unwrap().snapshot;
    for format in Format::ALL {
        let base = ["get", "--page", "text.html", "--public-url", "https://feeds.example.org"];
        let out = run(&[&base[..], &["--format", format.name()]].concat());
        let expected = feed::render(&reader::feed(&snapshot, format), format);
        assert_eq!(out.stdout, String::from_utf8(expected).unwrap() + "\n", "{format:?}");
        assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{format:?}");
    }
}

#[test]
fn get_takes_the_options_of_feeds() {
    let get = |query: &str| run(&["get", "--page", "text.html", "--format", "json", "--query", query]);
    let feed: serde_json::Value =
        serde_json::from_str(&get("match=%22kettle+is+safe%22&title=none").stdout).unwrap();
    let items = feed["items"].as_array().unwrap();
    assert!(items.len() == 1 && items[0]["title"].is_null(), "{feed}");
    assert!(
        feed["feed_url"]
            .as_str()
            .unwrap()
            .ends_with("/harbour_news/json?match=%22kettle+is+safe%22&title=none"),
        "{feed}"
    );
    let invalid = get("title=big");
    assert_eq!((invalid.code, invalid.stdout.as_str()), (2, ""));
    assert!(invalid.stderr.contains("must be one of auto, line, kind, none"), "{}", invalid.stderr);
    let list = run(&["options"]);
    assert!(list.code == 0 && list.stdout.contains("\nmax-age="), "{}", list.stdout);
    assert!(run(&["help", "options"]).stdout.contains("max-age="));
}

#[test]
fn get_accepts_every_spelling_of_a_channel() {
    let fake = FakeTelegram::start();
    fake.on("/s/harbour_news", Answer::page(&page("text")));
    let from_page = run(&["get", "--page", "text.html"]);
    for typed in [CHANNEL, "@harbour_news", "https://t.me/s/harbour_news", " t.me/harbour_news/105 "] {
        assert_eq!(run(&["get", typed, "--upstream", &fake.url()]), from_page, "{typed}");
    }
    assert_eq!(fake.count("/s/harbour_news"), 4);
}

#[test]
fn environment_variables_set_flags() {
    let fake = FakeTelegram::start();
    fake.on("/s/harbour_news", Answer::page(&page("text")));
    let url = fake.url();
    let variables = [
        ("TELEWIRE_UPSTREAM", url.as_str()),
        ("TELEWIRE_PUBLIC_URL", "https://feeds.example.org/"),
        ("TELEWIRE_MEDIA_HOSTS", "example.org"),
    ];
    let out = run_with(&["get", CHANNEL], &variables, Stdio::piped());
    assert_eq!((out.code, out.stderr.as_str()), (0, ""));
    assert!(out.stdout.contains("\"https://feeds.example.org/harbour_news/rss\""), "{}", out.stdout);
    assert!(!out.stdout.contains("telesco.pe"), "media of other hosts are not embedded");
    // Variables of `serve` are ignored: both commands may run in the same environment.
    for variable in [("TELEWIRE_LISTEN", "127.0.0.1:1"), ("TELEWIRE_LOG", "debug")] {
        let out = run_with(&["get", "--page", "text.html"], &[variable], Stdio::piped());
        assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{variable:?}");
    }
}

#[test]
fn each_failure_has_an_exit_code_and_a_message() {
    let fake = FakeTelegram::start();
    fake.on("/s/nobody_here", Answer::redirect("https://t.me/nobody_here"));
    fake.on("/nobody_here", Answer::page(&page("landing_nobody")));
    let running = App::start(&fake.url(), &[]);
    let (url, listen) = (fake.url(), running.address.to_string());
    let cases: &[(&[&str], i32, &str)] = &[
        (&["healthcheck", "--listen", "127.0.0.1:1"], 1, "the service at 127.0.0.1:1 is not healthy: "),
        (&["serve", "--listen", &listen], 1, "cannot listen on "),
        (&["get", "not a channel"], 3, "\"not a channel\" is not a channel: use its name"),
        (&["check", "t.me/+AbCdEfGhIjKl"], 3, "\"t.me/+AbCdEfGhIjKl\" leads to a private chat: "),
        (&["get", "nobody_here", "--upstream", &url], 4, "nobody_here: no public channel has this name"),
        (&["get", "--page", "landing_user.html"], 4, "landing_user.html: this name belongs to a person"),
        (&["check", "--page", "no_posts_empty.html"], 4, "has not published anything yet"),
        (&["get", CHANNEL, "--upstream", UNREACHABLE], 5, "harbour_news: 127.0.0.1:1 cannot be reached: "),
        (&["get", "--page", "cut_short.html"], 5, "cut_short.html: the page is truncated"),
        (&["get", CHANNEL, "--page", "photo.html"], 5, "photo.html: this is the page of another channel"),
        (&["get", "--page", "not_telegram.html"], 5, "not_telegram.html: this is not a saved t.me/s page"),
        (&["get", "--page", "landing_channel.html"], 5, "save t.me/s/NAME instead"),
        (&["get", "--page", "cut_in_head.html"], 5, "the page is truncated"),
        (
            &["check", CHANNEL, "--upstream", "http://127.0.0.1:1,http://127.0.0.2:1"],
            5,
            "127.0.0.2:1 cannot be reached: Connection refused (os error 111) (before it, 127.0.0.1:1 failed too)",
        ),
        (&["archive", "export", "no!", "--data-dir", "absent"], 3, "\"no!\" is not a channel: "),
        (&["opml", "--channels", "no!"], 3, "\"no!\" is not a channel: "),
        (&["archive", "stats", "--data-dir", "absent"], 7, "no archive at "),
        (&["opml", "--data-dir", "absent"], 7, "no archive at "),
        (&["archive", "stats", "--database", "postgres://127.0.0.1:1/x"], 7, ""),
        (&["check", "--page", "absent.html"], 6, "cannot read absent.html: "),
        (&["archive", "restore", "absent.sqlite"], 6, "cannot read absent.sqlite: "),
        (&["opml", "convert", "absent.opml"], 6, "cannot read absent.opml: "),
        (&["opml", "convert", "text.html"], 6, "text.html: "),
        (&["config", "check", "absent.toml"], 6, "cannot read absent.toml: "),
        (&["serve", "--config", "absent.toml"], 6, "cannot read absent.toml: "),
        (&["serve", "--home-text", "absent.md"], 6, "cannot read --home-text absent.md: "),
        (&["config", "check", "text.html"], 2, "text.html:1: "),
        (&["get", CHANNEL, "--query", "limit=many"], 2, "invalid"),
    ];
    for (args, code, message) in cases {
        let out = run(args);
        assert_eq!(out.code, *code, "{args:?}: {out:?}");
        assert_message(&out, message);
        assert_eq!(out.stdout, "", "{args:?}");
    }
}

#[test]
fn invalid_arguments_are_explained() {
    let cases: &[(&[&str], &str)] = &[
        (&["get"], "<CHANNEL>"),
        (&["get", CHANNEL, "--format", "xml"], "[possible values: rss, atom, json]"),
        (&["get", CHANNEL, "--upstream", "http://t.me"], "must start with https://"),
        (&["get", CHANNEL, "--upstream", "t.me"], "write https://t.me"),
        (&["durov"], "run `telewire get durov`"),
        (&["serve", "--token", "short"], "Usage: telewire serve"),
        (&["get", CHANNEL, "--media-hosts", "https://t.me"], "must be a host name"),
        (&["serve", "--public-url", "feeds.example.org"], "not a URL"),
        (&["serve", "--fresh-min", "soon"], "must look like 90s, 10m or 1h"),
        (&["serve", "--listen", "8080"], "must look like 127.0.0.1:8080"),
        (&["serve", "--rate", "1.5"], "must be a whole number"),
        (&["serve", "--burst", "0"], "must be at least 1"),
        (&["serve", "--cache-size", "much"], "must look like 500kB, 200MB"),
        (&["serve", "--log", "telewire=loud"], "error parsing level filter"),
        (&["serve", "--log", "inof"], "\"inof\" is not a level"),
        (&["serve", "--log", ""], "is not a level"),
        (&["fetch"], "fetch"),
        (&["--rate", "2", "get", CHANNEL], "--rate cannot be used before the command 'get'"),
    ];
    for (args, message) in cases {
        let out = run(args);
        assert_eq!((out.code, out.stdout.as_str()), (2, ""), "{args:?}: {out:?}");
        assert!(
            out.stderr.starts_with("error: ") && out.stderr.contains(message),
            "{args:?}: {}",
            out.stderr
        );
    }
}

#[test]
fn invalid_variable_is_named_in_the_error() {
    for (variable, value, message) in [
        ("TELEWIRE_UPSTREAM", "t.me", "invalid value 't.me' for TELEWIRE_UPSTREAM: has no scheme"),
        ("TELEWIRE_FRESH_MIN", "soon", "for TELEWIRE_FRESH_MIN: "),
        ("TELEWIRE_LOG_FORMAT", "xml", "for TELEWIRE_LOG_FORMAT: must be one of"),
        ("TELEWIRE_TOKEN", "sesame", "invalid value for TELEWIRE_TOKEN: "),
    ] {
        let out = run_with(&["serve"], &[(variable, value)], Stdio::piped());
        assert_eq!(out.code, 2, "{variable}: {out:?}");
        assert!(out.stderr.contains(message), "{variable}: {}", out.stderr);
        assert!(!out.stderr.contains("sesame"), "the secret is printed: {}", out.stderr);
    }
}

#[test]
fn contradictory_settings_are_rejected() {
    let folder = app::new_folder();
    for (settings, message) in [
        (
            &["no-archive = true", "database = 'postgres://x/y'"][..],
            "--no-archive and --database cannot be used together",
        ),
        (&["fresh-min = '2h'"], "--fresh-min must not be longer than --fresh-max"),
        (&["refresh-wait = '11s'"], "--refresh-wait must not be longer than 10 seconds"),
    ] {
        fs::write(folder.join("telewire.toml"), settings.join("\n")).unwrap();
        let flags = settings.iter().map(|setting| format!("--{}", setting.replace([' ', '\''], "")));
        let flags: Vec<String> = flags.map(|flag| flag.replace("=true", "")).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        for command in [
            &[&["serve"], &flags[..]].concat()[..],
            &["serve", "--config", "telewire.toml"],
            &["config", "check", "telewire.toml"],
        ] {
            let out = app::run_in(&folder, command);
            assert_eq!(out.code, 2, "{command:?}: {out:?}");
            assert_message(&out, message);
        }
    }
    fs::write(folder.join("telewire.toml"), "home-text = 'absent.md'").unwrap();
    let out = app::run_in(&folder, &["config", "check", "telewire.toml"]);
    assert_message(&out, "cannot read --home-text absent.md: ");
    // The environment of the check is not that of the service.
    fs::write(folder.join("telewire.toml"), "fresh-min = '50m'").unwrap();
    let variables = [("TELEWIRE_FRESH_MAX", "1m")];
    let file = folder.join("telewire.toml");
    let out = run_with(&["config", "check", file.to_str().unwrap()], &variables, Stdio::piped());
    assert_eq!(out.code, 0, "{out:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn output_to_a_full_disk_fails() {
    for command in [
        &["get", "--page", "text.html"][..],
        &["check", "--page", "text.html"],
        &["options"],
        &["opml", "--channels", CHANNEL],
        &["config", "example"],
        &["config", "show"],
        &["completions", "bash"],
        &["manual"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let out = run_with(command, &[], full.into());
        assert_eq!(out.code, 6, "{command:?}: {out:?}");
        assert_message(&out, "cannot write the output");
    }
}

#[test]
fn check_reports_whether_feeds_are_complete() {
    let complete = run(&["check", "--page", "text.html"]);
    assert_eq!((complete.code, complete.stderr.as_str()), (0, ""));
    for expected in ["Harbour News (@harbour_news)", "skipped posts: 0", "unknown markup: 0"] {
        assert!(complete.stdout.lines().any(|line| line == expected), "{expected}: {}", complete.stdout);
    }
    let incomplete = run(&["check", "--page", "unknown.html"]);
    assert_eq!(incomplete.code, 1);
    assert_message(&incomplete, "parts of this page are missing from the feed");
    assert!(incomplete.stdout.contains("the message has no post id"), "{}", incomplete.stdout);
    assert!(incomplete.stdout.contains("partly lost"), "{}", incomplete.stdout);
}

#[test]
fn healthcheck_succeeds_for_a_running_service() {
    let app = App::start(UNREACHABLE, &[]);
    let address = app.address.to_string();
    let healthy = Output { code: 0, stdout: String::new(), stderr: String::new() };
    assert_eq!(run(&["healthcheck", "--listen", &address]), healthy);
    assert_eq!(run_with(&["healthcheck"], &[("TELEWIRE_LISTEN", &address)], Stdio::piped()), healthy);
    // A service that listens on every interface is checked on the loopback interface.
    let every_interface = format!("0.0.0.0:{}", app.address.port());
    assert_eq!(run(&["healthcheck", "--listen", &every_interface]), healthy);
}

#[test]
fn help_lists_commands_and_exit_codes() {
    let help = run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    for command in ["serve", "get", "check", "healthcheck"] {
        assert!(help.stdout.lines().any(|line| line.trim_start().starts_with(command)), "{}", help.stdout);
        assert_eq!(run(&[command, "--help"]).code, 0);
    }
    for help in [help, run(&["get", "--help"]), run(&["check", "--help"])] {
        let (_, codes) = help.stdout.split_once("Exit codes:\n").expect("a list of exit codes");
        for code in 0..=7 {
            assert!(
                codes.lines().any(|line| line.trim_start().starts_with(&format!("{code}  "))),
                "{code}: {codes}"
            );
        }
    }
    let version = run(&["--version"]);
    assert_eq!(version.stdout, format!("telewire {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn manual_refers_only_to_pages_that_it_has() {
    let manual = run(&["manual"]).stdout;
    let pages: Vec<&str> = manual
        .lines()
        .filter_map(|line| Some(line.split_once(" \\- ")?.0))
        .filter(|name| name.starts_with("telewire"))
        .collect();
    let references: Vec<&str> = manual.lines().filter_map(|line| line.strip_suffix("(1)")).collect();
    assert!(references.contains(&"telewire\\-archive\\-stats"), "{references:?}");
    for reference in references {
        assert!(pages.contains(&reference), "{reference}: {pages:?}");
    }
}

/// Asserts that stderr is a single line that contains `message`.
fn assert_message(out: &Output, message: &str) {
    let line = out.stderr.strip_prefix("telewire: ").and_then(|line| line.strip_suffix('\n'));
    assert!(line.is_some_and(|line| line.contains(message) && !line.contains('\n')), "{message}: {out:?}");
}
