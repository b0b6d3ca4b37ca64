//! Metrics, alerts and log lines.

use std::fs;
use std::process::Command;

use super::{PREVIEW, RSS, service};
use crate::support::app::App;
use crate::support::fake_telegram::Answer;
use crate::support::wait::wait_until;
use crate::support::{CHANNEL, are_installed, http, root};

/// Returns the value of a metric by its name and labels.
fn value(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

#[test]
fn cold_and_warm_requests_are_counted() {
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
        ("telewire_cache_total{state=\"hit\"}", 3.0),
        ("telewire_cache_total{state=\"stale\"}", 0.0),
        ("telewire_refreshes_total{outcome=\"ok\"}", 1.0),
        ("telewire_refreshes_total{outcome=\"upstream-500\"}", 1.0),
        ("telewire_refreshes_total{outcome=\"upstream-broken\"}", 0.0),
        (&format!("telewire_upstream_requests_total{{host=\"{host}\",outcome=\"too-large\"}}"), 0.0),
        (&format!("telewire_upstream_requests_total{{host=\"{host}\",outcome=\"redirected\"}}"), 0.0),
        (&format!("telewire_upstream_requests_total{{host=\"{host}\",outcome=\"ok\"}}"), 1.0),
        (&format!("telewire_upstream_requests_total{{host=\"{host}\",outcome=\"status\"}}"), 1.0),
        (&format!("telewire_upstream_queue_length{{host=\"{host}\"}}"), 0.0),
        (&format!("telewire_upstream_circuit_open{{host=\"{host}\"}}"), 0.0),
        ("telewire_prefetches_total{outcome=\"unused\"}", 0.0),
        ("telewire_archive_failures_total{kind=\"slow\"}", 0.0),
        ("telewire_archive_failures_total{kind=\"database\"}", 0.0),
        ("telewire_prefetch_queue_length", 0.0),
        ("telewire_new_channels_waiting", 1.0),
        ("telewire_archive_up", 1.0),
        ("telewire_archive_pages_waiting", 0.0),
        ("telewire_media_streams", 0.0),
        (&format!("telewire_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        assert_eq!(value(metrics, name), Some(wanted), "{name}: {metrics}");
    }
    assert!(value(metrics, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6), "{metrics}");
    assert!(!metrics.contains(CHANNEL) && !metrics.contains("no_such_name"), "{metrics}");
}

/// Feeds the metrics of a service during an outage to `promtool`, as if Prometheus had scraped them for 35 minutes.
#[test]
fn alert_fires_while_telegram_is_down() {
    if !are_installed(&["promtool"], "alert_fires_while_telegram_is_down") {
        return;
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
        let report = String::from_utf8_lossy(&outcome.stdout) + String::from_utf8_lossy(&outcome.stderr);
        assert!(outcome.status.success(), "{what}: {report}");
    };
    assert_eq!(app.get(RSS).status, 200);
    let healthy = scrape();
    fires("while Telegram answers", &healthy, &healthy, "");
    fake.shut_down();
    // Enough failures to open the breaker.
    for n in 0..6 {
        app.get(&format!("/other_{n}/rss"));
    }
    let summary = "Telegram gives nothing: a serves what it has";
    let description = fs::read_to_string(&alerts).unwrap();
    let description = description.split("description: ").nth(1).unwrap().lines().next().unwrap();
    fires(
        "while Telegram is down",
        &healthy,
        &scrape(),
        &format!(
            "{{exp_labels: {{severity: warning, instance: a}}, \
             exp_annotations: {{summary: \"{summary}\", description: {description}}}}}"
        ),
    );
    assert_eq!(app.get(RSS).status, 200, "cached feeds are still served");
}

#[test]
fn metrics_listener_serves_only_metrics() {
    let (_fake, app) = service(&["--metrics-listen", "127.0.0.1:0", "--token", "0123456789abcdef"]);
    let address = app.wait_for_listener("/-/metrics");
    assert_eq!(http::ask(address, "GET", "/-/metrics", &[]).status, 200);
    assert_eq!(http::ask(address, "GET", RSS, &[]).status, 404, "the metrics listener serves a feed");
    let answer = app.get("/-/metrics?token=0123456789abcdef");
    assert_eq!(answer.status, 404, "the main listener serves metrics: {}", answer.text());
}

#[test]
fn failure_is_logged_once_with_the_request_id() {
    let (fake, app) = service(&["--log-format", "json"]);
    fake.on(PREVIEW, Answer::status(404));
    let answer = app.get(RSS);
    let id = answer.header("X-Request-Id").unwrap().to_owned();
    assert_eq!((answer.status, id.len()), (502, 16));
    let failures = || -> Vec<serde_json::Value> {
        let lines = app.log().iter().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>();
        lines.into_iter().filter(|line: &serde_json::Value| line["level"] == "WARN").collect()
    };
    // The log is a pipe, which may lag behind the response.
    wait_until("the failure is logged", || !failures().is_empty());
    let failures = failures();
    assert_eq!(failures.len(), 1, "{failures:#?}");
    assert_eq!(failures[0]["fields"]["channel"], CHANNEL);
    assert_eq!(failures[0]["span"]["id"], id.as_str());
    assert_ne!(app.get(RSS).header("X-Request-Id"), Some(id.as_str()));
    let app = App::start(&fake.url(), &["--log-format", "json"]);
    app.get(RSS);
    assert!(
        !app.log().iter().any(|line| line.contains("127.0.0.1:0")),
        "the log must contain the actual port"
    );
}
