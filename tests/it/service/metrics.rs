//! What is counted, and what the log says.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{PREVIEW, RSS, service};
use crate::support::app::App;
use crate::support::fake_telegram::Answer;
use crate::support::{CHANNEL, http, print_note, root};

/// The value of a metric, by its name with its labels.
fn value(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

#[test]
fn a_cold_and_a_warm_request_are_counted() {
    let (fake, app) = service(&["--fresh-min", "1h"]);
    assert_eq!(app.get(RSS).status, 200);
    let etag = app.get(RSS).header("ETag").unwrap().to_owned();
    assert_eq!(app.ask("GET", RSS, &[("If-None-Match", &etag)]).status, 304);
    assert_eq!(app.get("/no_such_name/rss").status, 502);
    assert_eq!(app.get("/harbour_news").status, 200);
    let answer = app.get("/-/metrics");
    assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4"));
    let metrics = answer.text();
    let host = fake.host();
    for (name, wanted) in [
        ("telewire_requests_total{route=\"feed\",status=\"200\"}", 2.0),
        ("telewire_requests_total{route=\"feed\",status=\"304\"}", 1.0),
        ("telewire_requests_total{route=\"feed\",status=\"502\"}", 1.0),
        ("telewire_requests_total{route=\"channel\",status=\"200\"}", 1.0),
        ("telewire_request_seconds_count{route=\"feed\"}", 4.0),
        ("telewire_cache_total{state=\"miss\"}", 1.0),
        ("telewire_cache_total{state=\"hit\"}", 2.0),
        ("telewire_cache_total{state=\"stale\"}", 0.0),
        ("telewire_refreshes_total{outcome=\"ok\"}", 1.0),
        ("telewire_refreshes_total{outcome=\"upstream-500\"}", 1.0),
        (&format!("telewire_upstream_requests_total{{host=\"{host}\",outcome=\"ok\"}}"), 1.0),
        (&format!("telewire_upstream_requests_total{{host=\"{host}\",outcome=\"status\"}}"), 1.0),
        (&format!("telewire_upstream_queue_length{{host=\"{host}\"}}"), 0.0),
        (&format!("telewire_upstream_circuit_open{{host=\"{host}\"}}"), 0.0),
        ("telewire_archive_up", 1.0),
        ("telewire_media_streams", 0.0),
        (&format!("telewire_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        assert_eq!(value(metrics, name), Some(wanted), "{name}: {metrics}");
    }
    assert!(value(metrics, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6), "{metrics}");
    assert!(!metrics.contains(CHANNEL) && !metrics.contains("no_such_name"), "{metrics}");
}

/// What a service says of itself while Telegram is down, as Prometheus would see it for twenty minutes.
#[test]
fn the_alert_fires_when_telegram_is_down() {
    if !Path::new("/usr/bin/promtool").exists() {
        return print_note("promtool is not here, so it is not checked that the alerts fire");
    }
    let (fake, app) = service(&["--fresh-min", "0s", "--fresh-max", "0s"]);
    let alerts = root().join("deploy/alerts.yaml");
    let scrape = || app.get("/-/metrics").text().to_owned();
    let fires = |what: &str, before: &str, now: &str, expected: &str| {
        let series = now.lines().filter(|line| line.starts_with("telewire_")).map(|line| {
            let (key, value) = line.rsplit_once(' ').unwrap();
            let first =
                before.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).unwrap_or("_");
            let name = key;
            let name = match name.split_once('{') {
                Some((name, labels)) => format!("{name}{{instance=\"a\",{labels}"),
                None => format!("{name}{{instance=\"a\"}}"),
            };
            format!("      - series: '{name}'\n        values: {first}x5 {value}x30\n")
        });
        let test = format!(
            "rule_files: [{}]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n{}\
             \x20   alert_rule_test:\n      - alertname: TelegramGivesNothing\n        eval_time: 18m\n        exp_alerts: [{expected}]\n",
            alerts.display(),
            series.collect::<String>()
        );
        let file = app.folder.join("alerts.yaml");
        fs::write(&file, test).unwrap();
        let outcome = Command::new("promtool").args(["test", "rules"]).arg(&file).output().unwrap();
        let words = String::from_utf8_lossy(&outcome.stdout) + String::from_utf8_lossy(&outcome.stderr);
        assert!(outcome.status.success(), "{what}: {words}");
    };
    assert_eq!(app.get(RSS).status, 200);
    let well = scrape();
    fires("while all is well", &well, &well, "");
    fake.shut_down();
    // It is left alone when it cannot be reached, or has failed some times.
    for n in 0..6 {
        app.get(&format!("/other_{n}/rss"));
    }
    let summary = "Telegram gives nothing: a serves what it has";
    let description = fs::read_to_string(&alerts).unwrap();
    let description = description.split("description: ").nth(1).unwrap().lines().next().unwrap();
    fires(
        "while Telegram is down",
        &well,
        &scrape(),
        &format!(
            "{{exp_labels: {{severity: warning, instance: a}}, \
             exp_annotations: {{summary: \"{summary}\", description: {description}}}}}"
        ),
    );
    assert_eq!(app.get(RSS).status, 200, "readers notice nothing");
}

#[test]
fn metrics_can_have_an_address_of_their_own() {
    let (_fake, app) = service(&["--metrics-listen", "127.0.0.1:0", "--token", "0123456789abcdef"]);
    let address = app.wait_for_listener("/-/metrics");
    assert_eq!(http::ask(address, "GET", "/-/metrics", &[]).status, 200);
    assert_eq!(http::ask(address, "GET", RSS, &[]).status, 404, "nothing else is there");
    let answer = app.get("/-/metrics?token=0123456789abcdef");
    assert_eq!(answer.status, 400, "they are not where feeds are: {}", answer.text());
}

#[test]
fn a_failure_is_logged_once_with_the_id_of_the_request() {
    let (fake, app) = service(&["--log-format", "json"]);
    fake.on(PREVIEW, Answer::status(404));
    let answer = app.get(RSS);
    let id = answer.header("X-Request-Id").unwrap().to_owned();
    assert_eq!((answer.status, id.len()), (502, 16));
    let lines: Vec<serde_json::Value> =
        app.log().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failures: Vec<_> = lines.iter().filter(|line| line["level"] == "WARN").collect();
    assert_eq!(failures.len(), 1, "{failures:#?}");
    assert_eq!(failures[0]["fields"]["channel"], CHANNEL);
    assert_eq!(failures[0]["span"]["id"], id.as_str());
    assert_ne!(app.get(RSS).header("X-Request-Id"), Some(id.as_str()));
    let app = App::start(&fake.url(), &["--log-format", "json"]);
    app.get(RSS);
    assert!(!app.log().iter().any(|line| line.contains("127.0.0.1:0")), "the port that was chosen is logged");
}
