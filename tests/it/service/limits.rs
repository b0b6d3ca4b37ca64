//! Limits: negative caching, rate limiting, circuit breaker, and protection against hostile clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::{PREVIEW, RSS, service};
use crate::support::app::App;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram, Framing};
use crate::support::wait::wait_until;
use crate::support::{CHANNEL, http, page};

#[test]
fn negative_cache_fetches_an_unknown_name_once() {
    let (fake, app) = service(&[]);
    fake.on("/s/nobody_here", Answer::redirect("/nobody_here"));
    fake.on("/nobody_here", Answer::page(&page("landing_nobody")));
    for target in ["/nobody_here/rss", "/nobody_here/atom", "/nobody_here/json", "/nobody_here"] {
        assert_eq!(app.get(target).status, 404);
    }
    assert_eq!((fake.count("/s/nobody_here"), fake.count("/nobody_here")), (1, 1));
}

#[test]
fn failed_channel_is_not_retried_at_once() {
    let (fake, app) = service(&[]);
    fake.on("/s/failing_one", Answer::page(&page("not_telegram")));
    let waits = (0..3).map(|_| {
        let answer = app.get("/failing_one/rss");
        assert_eq!(answer.status, 502);
        answer.header("Retry-After").unwrap().parse::<u32>().unwrap()
    });
    assert!(waits.into_iter().all(|wait| (1..=36).contains(&wait)));
    assert_eq!(fake.count("/s/failing_one"), 1);
    assert_eq!(app.get(RSS).status, 200, "another channel is not affected");
}

#[test]
fn invented_names_do_not_starve_a_known_channel() {
    let (fake, app) = service(&["--rate", "10", "--burst", "1", "--fresh-min", "0s", "--fresh-max", "0s"]);
    assert_eq!(app.get(RSS).status, 200);
    let address = app.address;
    let requests: Vec<_> = (0..100)
        .map(|n| thread::spawn(move || http::ask(address, "GET", &format!("/made_up_{n}/rss"), &[])))
        .collect();
    let waiting = || {
        let metrics = app.get("/-/metrics");
        let line =
            metrics.text().lines().find(|line| line.starts_with("telewire_upstream_queue_length{")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    assert!((0..1000).any(|_| waiting() > 50), "the queue did not fill");
    wait_until("the channel is fetched again", || {
        app.get(RSS);
        fake.count(PREVIEW) > 1
    });
    let served = fake.paths("/s/made_up_").len();
    assert!(served < 40, "{served} invented names were fetched first");
    for request in requests {
        assert!(matches!(request.join().unwrap().status, 502 | 503));
    }
}

/// Thirty clients ask for older posts, which take ten pages each.
#[test]
fn older_posts_of_many_channels_do_not_starve_a_known_channel() {
    let (fake, app) = service(&["--rate", "20", "--burst", "1", "--fresh-min", "0s", "--fresh-max", "0s"]);
    assert_eq!(app.get(RSS).status, 200);
    let names: Vec<String> = (0..30).map(|n| format!("archived_{n}")).collect();
    for name in &names {
        fake.add_channel(FakeChannel::with_posts(name, 200, Timestamp::UNIX_EPOCH));
        assert_eq!(app.get(&format!("/{name}/rss")).status, 200);
    }
    let n_older = || fake.paths("/s/archived_").iter().filter(|path| path.contains("?before=")).count();
    let ask = |name| http::send(app.address, "GET", &format!("/{name}/rss?limit=200"), &[]);
    let _asked: Vec<TcpStream> = names.iter().map(ask).collect();
    wait_until("older posts are fetched", || n_older() > 2);
    let n_before = fake.count(PREVIEW);
    wait_until("the channel is fetched again", || {
        app.get(RSS);
        fake.count(PREVIEW) > n_before
    });
    let n_older = n_older();
    assert!(n_older < 15, "{n_older} pages of older posts were fetched first");
}

/// While the circuit breaker is open, every invented name is refused.
#[test]
fn refused_names_are_counted_and_not_logged_one_by_one() {
    let (_fake, app) = service(&["--burst", "100"]);
    for n in 0..5 {
        assert_eq!(app.get(&format!("/failing_{n}/rss")).status, 502);
    }
    for n in 0..50 {
        assert_eq!(app.get(&format!("/made_up_{n}/rss")).status, 503);
    }
    app.wait_for_metric("telewire_refreshes_total{outcome=\"upstream-circuit-open\"}", 50.0);
    assert!(!app.log().iter().any(|line| line.contains("made_up_")), "a refused name is in the log");
    wait_until("the number is logged", || app.log().iter().any(|line| line.contains("refreshes=")));
}

/// A hundred readers of new channels at a time, as after an import: what cannot be answered in time is fetched all the same.
#[test]
fn new_channels_are_all_fetched_without_another_request() {
    let (fake, app) = service(&["--rate", "5"]);
    let names: Vec<String> = (0..100).map(|n| format!("new_one_{n:04}")).collect();
    for name in &names {
        fake.on(&format!("/s/{name}"), Answer::page(&page("text").replace(CHANNEL, name)));
    }
    let address = app.address;
    let ask = |name: &String| {
        let target = format!("/{name}/rss");
        thread::spawn(move || http::ask(address, "GET", &target, &[]))
    };
    let requests: Vec<_> = names.iter().map(ask).collect();
    let answers: Vec<_> = requests.into_iter().map(|request| request.join().unwrap()).collect();
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert!(refused.status == 503 && refused.header("Retry-After").is_some(), "{}", refused.text());
    }
    let n_answered = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(n_answered >= 50, "only {n_answered} were answered at once");
    wait_until("all channels are fetched", || fake.paths("/s/new_one_").len() == names.len());
    wait_until("all channels are served", || {
        names.iter().all(|name| app.get(&format!("/{name}/rss")).status == 200)
    });
    assert_eq!(fake.paths("/s/new_one_").len(), names.len(), "a channel was fetched twice");
}

/// Readers poll more channels at a time than may be fetched during a request; none of the channels may be left out.
#[test]
fn stale_channels_of_a_poll_are_all_refreshed() {
    let flags =
        ["--rate", "10", "--burst", "1", "--fresh-min", "0s", "--fresh-max", "1h", "--refresh-wait", "100ms"];
    let (fake, app) = service(&flags);
    let names: Vec<String> = (0..12).map(|n| format!("quiet_one_{n:02}")).collect();
    for name in &names {
        fake.on(&format!("/s/{name}"), Answer::page(&page("text").replace(CHANNEL, name)));
        assert_eq!(app.get(&format!("/{name}/rss")).status, 200);
    }
    let n_fetched = fake.paths("/s/quiet_one_").len();
    let address = app.address;
    let polls = names.iter().map(|name| {
        let target = format!("/{name}/rss");
        thread::spawn(move || http::ask(address, "GET", &target, &[]).status)
    });
    for poll in polls.collect::<Vec<_>>() {
        assert_eq!(poll.join().unwrap(), 200);
    }
    wait_until("all are fetched again", || fake.paths("/s/quiet_one_").len() >= n_fetched + names.len());
}

#[test]
fn retry_after_pauses_the_upstream_within_bounds() {
    let (before, after) = (Duration::from_secs(1), Duration::from_hours(1));
    for (retry_after, at_least) in [
        ("2", 25),
        ("99999999", 3590),
        ("-5", 45),
        ("soon", 45),
        ("", 45),
        // Dates by the clock of the upstream: in 20 minutes, in 84 years, in the past.
        ("Wed, 21 Oct 2015 07:48:00 GMT", 1190),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 3590),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 25),
    ] {
        let (fake, app) = service(&[]);
        let refusal = Answer::status(429).with("Date", "Wed, 21 Oct 2015 07:28:00 GMT");
        fake.on("/s/refused_one", refusal.with("Retry-After", retry_after));
        for target in ["/refused_one/rss", "/refused_one/rss", "/harbour_news/rss"] {
            let answer = app.get(target);
            assert_eq!(answer.status, 503, "{retry_after:?}");
            let wait = Duration::from_secs(answer.header("Retry-After").unwrap().parse().unwrap());
            assert!(wait >= before && wait <= after, "{retry_after:?}: {wait:?}");
        }
        assert_eq!(
            (fake.count("/s/refused_one"), fake.count(PREVIEW)),
            (1, 0),
            "{retry_after:?}: a request was sent during the pause"
        );
        let other = app.get("/harbour_news/atom").header("Retry-After").unwrap().parse::<u32>().unwrap();
        assert!(other >= at_least, "{retry_after:?}: {other}");
    }
}

/// Takes about five seconds: the pause after five failures in a row.
#[test]
fn breaker_closes_after_any_answer_of_a_recovered_upstream() {
    let (fake, app) = service(&["--burst", "100"]);
    let unavailable = &[0, 1, 2, 3, 4, 5].map(|n| app.get(&format!("/failing_{n}/rss")))[5];
    assert_eq!((unavailable.status, fake.count("/s/failing_5")), (503, 0), "the breaker did not open");
    // The refused name is read in the background, perhaps before the others.
    for name in ["failing_5", "nobody_here"] {
        fake.on(&format!("/s/{name}"), Answer::redirect(&format!("/{name}")));
        fake.on(&format!("/{name}"), Answer::page(&page("landing_nobody")));
    }
    let left: u64 = unavailable.header("Retry-After").unwrap().parse().unwrap();
    thread::sleep(Duration::from_secs(left + 1));
    assert_eq!((app.get("/nobody_here/rss").status, app.get(RSS).status), (404, 200));
}

#[test]
fn captive_portal_opens_the_breaker() {
    let (fake, app) = service(&["--burst", "100"]);
    fake.override_all(Answer::page(&page("not_telegram")));
    let statuses: Vec<u16> = (0..8).map(|n| app.get(&format!("/behind_portal_{n}/rss")).status).collect();
    assert_eq!(statuses, [502, 502, 502, 502, 502, 503, 503, 503]);
    assert_eq!(fake.times().len(), 5);
}

#[test]
fn single_dropped_connection_does_not_open_the_breaker() {
    let (fake, app) = service(&[]);
    fake.on("/s/hung_up", Answer { framing: Framing::NoResponse, ..Answer::status(200) });
    assert_eq!((app.get("/hung_up/rss").status, app.get(RSS).status), (502, 200));
}

#[test]
fn retry_after_is_passed_on_to_the_reader() {
    let (fake, app) = service(&[]);
    fake.on(PREVIEW, Answer::status(429).with("Retry-After", "1800"));
    let wait: u64 = app.get(RSS).header("Retry-After").unwrap().parse().unwrap();
    assert!((1790..=1800).contains(&wait), "{wait}");
}

#[test]
fn host_header_is_validated_and_used_in_links() {
    let (_fake, app) = service(&[]);
    let raw = |request: &str| {
        let mut stream = TcpStream::connect(app.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let rest = "Connection: close\r\n\r\n";
    for refused in ["", "Host: a\r\nHost: b\r\n", "Host: a:b\r\n", "Host: <x>\r\n"] {
        assert!(
            raw(&format!("GET {RSS} HTTP/1.1\r\n{refused}{rest}")).starts_with("HTTP/1.1 400"),
            "{refused:?}"
        );
    }
    let own = format!("http://{}", app.address);
    for (target, version, host, base) in [
        ("", "1.1", "Host: feeds.example.org\r\n", "http://feeds.example.org"),
        ("http://other.example", "1.1", "Host: feeds.example.org\r\n", "http://other.example"),
        ("", "1.0", "", own.as_str()),
        ("", "1.1", "Host: \r\n", own.as_str()),
    ] {
        let feed = raw(&format!("GET {target}{RSS} HTTP/{version}\r\n{host}{rest}"));
        let link = format!("<atom:link href=\"{base}{RSS}\" rel=\"self\"");
        assert!(feed.contains(&link), "{target} {version} {host}: {}", &feed[..feed.len().min(1500)]);
    }
}

#[test]
fn rate_limit_holds_for_ten_thousand_cold_channels() {
    const NAMES: usize = 10_000;
    const READERS: usize = 20;
    const BURST: usize = 5;
    let fake = FakeTelegram::start();
    let app = App::start(&fake.url(), &["--burst", "5"]);
    let address = app.address;
    let readers = (0..READERS).map(|reader| {
        thread::spawn(move || {
            let ask = |n| http::ask(address, "GET", &format!("/cold_channel_{n}/rss"), &[]);
            let answers = (reader..NAMES).step_by(READERS).map(ask);
            answers.filter(|answer| answer.header("Retry-After").is_none()).count()
        })
    });
    let unanswered: usize =
        readers.collect::<Vec<_>>().into_iter().map(|reader| reader.join().unwrap()).sum();
    assert_eq!(unanswered, 0, "responses without Retry-After");
    let times = fake.times();
    assert!(times.len() >= BURST, "{} requests", times.len());
    for (i, first) in times.iter().enumerate() {
        for (n, last) in times[i..].iter().enumerate() {
            // Two more than the limit, because delayed requests may be recorded together.
            let max_requests = BURST + 1 + usize::try_from((*last - *first).as_secs()).unwrap() + 1;
            assert!(n < max_requests, "{} requests in {:?}", n + 1, *last - *first);
        }
    }
}

#[test]
fn x_forwarded_host_is_that_of_the_outermost_trusted_proxy() {
    let headers = [
        ("Host", "inner:8080"),
        ("X-Forwarded-For", "192.0.2.7, 10.0.0.1"),
        ("X-Forwarded-Host", "evil.example, feeds.example.org, inner:8080"),
        ("X-Forwarded-Proto", "https, http"),
    ];
    for (flags, own) in [
        (&[][..], "http://inner:8080/harbour_news/rss"),
        (&["--trusted-proxies", "10.0.0.0/8"], "http://inner:8080/harbour_news/rss"),
        (&["--trusted-proxies", "10.0.0.0/8,127.0.0.1"], "https://feeds.example.org/harbour_news/rss"),
    ] {
        let (_fake, app) = service(flags);
        let feed = app.ask("GET", RSS, &headers);
        assert!(feed.text().contains(&format!("<atom:link href=\"{own}\" rel=\"self\"")), "{flags:?}");
    }
}

/// Takes ten seconds: the timeout of a request head.
#[test]
fn slowloris_connection_is_closed() {
    let (_fake, app) = service(&["--metrics-listen", "127.0.0.1:0"]);
    let metrics = app.wait_for_listener("/-/metrics");
    let slow = [app.address, metrics].map(|address| {
        let mut slow = TcpStream::connect(address).unwrap();
        slow.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        slow.write_all(b"GET /harbour_news/rss HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
        slow
    });
    assert_eq!(app.get(RSS).status, 200, "other clients are not affected");
    assert_eq!(http::ask(metrics, "GET", "/-/metrics", &[]).status, 200);
    for mut slow in slow {
        assert!(slow.read_to_end(&mut Vec::new()).is_ok(), "the connection was not closed in time");
    }
}

#[test]
fn request_head_of_32_kib_is_accepted_and_a_larger_one_returns_431() {
    let (_fake, app) = service(&[]);
    let without_value =
        format!("GET {RSS} HTTP/1.1\r\nConnection: close\r\nHost: {}\r\nX-Long: \r\n\r\n", app.address);
    for (n_bytes, status) in [(32 << 10, 200), ((32 << 10) + 1, 431), (40 << 10, 431), (200 << 10, 431)] {
        let long = "x".repeat(n_bytes - without_value.len());
        assert_eq!(app.ask("GET", RSS, &[("X-Long", &long)]).status, status, "{n_bytes} bytes");
    }
}
