//! What protects Telegram from readers, readers from Telegram, and both from everybody else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::{PREVIEW, RSS, service};
use crate::support::app::App;
use crate::support::fake_telegram::{Answer, FakeTelegram, Framing};
use crate::support::wait::wait_until;
use crate::support::{http, page};

#[test]
fn a_name_that_nobody_has_is_asked_for_once() {
    let (fake, app) = service(&[]);
    fake.on("/s/nobody_here", Answer::redirect("/nobody_here"));
    fake.on("/nobody_here", Answer::page(&page("landing_nobody")));
    for target in ["/nobody_here/rss", "/nobody_here/atom", "/NoBody_Here/json", "/@nobody_here/rss"] {
        assert_eq!(app.get(target).status, 404);
    }
    assert_eq!((fake.count("/s/nobody_here"), fake.count("/nobody_here")), (1, 1));
}

#[test]
fn a_channel_that_fails_is_not_asked_for_again_at_once() {
    let (fake, app) = service(&[]);
    fake.on("/s/failing_one", Answer::page(&page("not_telegram")));
    let waits = (0..3).map(|_| {
        let answer = app.get("/failing_one/rss");
        assert_eq!(answer.status, 502);
        answer.header("Retry-After").unwrap().parse::<u32>().unwrap()
    });
    assert!(waits.into_iter().all(|wait| (1..=36).contains(&wait)));
    assert_eq!(fake.count("/s/failing_one"), 1);
    assert_eq!(app.get(RSS).status, 200, "another channel has nothing to do with it");
}

#[test]
fn made_up_names_do_not_keep_a_channel_from_being_fresh() {
    let (fake, app) = service(&["--rate", "10", "--burst", "1", "--fresh-min", "0s", "--fresh-max", "0s"]);
    assert_eq!(app.get(RSS).status, 200);
    let address = app.address;
    let strangers: Vec<_> = (0..100)
        .map(|n| thread::spawn(move || http::ask(address, "GET", &format!("/made_up_{n}/rss"), &[])))
        .collect();
    let waiting = || {
        let metrics = app.get("/-/metrics");
        let line =
            metrics.text().lines().find(|line| line.starts_with("telewire_upstream_queue_length{")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    assert!((0..1000).any(|_| waiting() > 50), "so many wait");
    wait_until("the channel is read again", || {
        app.get(RSS);
        fake.count(PREVIEW) > 1
    });
    let served = fake.paths("/s/made_up_").len();
    assert!(served < 40, "it waited for {served} strangers");
    for stranger in strangers {
        assert!(matches!(stranger.join().unwrap().status, 502 | 503));
    }
}

#[test]
fn an_upstream_that_asks_for_it_is_left_alone() {
    let (before, after) = (Duration::from_secs(1), Duration::from_hours(1));
    for (said, at_least) in [
        ("2", 25),
        ("99999999", 3590),
        ("-5", 45),
        ("soon", 45),
        ("", 45),
        // By the clock of the upstream, in 20 minutes, in 84 years, and long ago.
        ("Wed, 21 Oct 2015 07:48:00 GMT", 1190),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 3590),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 25),
    ] {
        let (fake, app) = service(&[]);
        let refusal = Answer::status(429).with("Date", "Wed, 21 Oct 2015 07:28:00 GMT");
        fake.on("/s/refused_one", refusal.with("Retry-After", said));
        for target in ["/refused_one/rss", "/refused_one/rss", "/harbour_news/rss"] {
            let answer = app.get(target);
            assert_eq!(answer.status, 503, "{said:?}");
            let wait = Duration::from_secs(answer.header("Retry-After").unwrap().parse().unwrap());
            assert!(wait >= before && wait <= after, "{said:?}: {wait:?}");
        }
        assert_eq!((fake.count("/s/refused_one"), fake.count(PREVIEW)), (1, 0), "{said:?}: asked meanwhile");
        let other = app.get("/harbour_news/atom").header("Retry-After").unwrap().parse::<u32>().unwrap();
        assert!(other >= at_least, "{said:?}: {other}");
    }
}

/// Takes as long as an upstream is left alone that has failed five times in a row, some five seconds.
#[test]
fn an_upstream_that_has_recovered_is_asked_again_whatever_it_is_asked_first() {
    let (fake, app) = service(&["--burst", "100"]);
    let unavailable = &[0, 1, 2, 3, 4, 5].map(|n| app.get(&format!("/failing_{n}/rss")))[5];
    assert_eq!((unavailable.status, fake.count("/s/failing_5")), (503, 0), "left alone");
    fake.on("/s/nobody_here", Answer::redirect("/nobody_here"));
    fake.on("/nobody_here", Answer::page(&page("landing_nobody")));
    let left: u64 = unavailable.header("Retry-After").unwrap().parse().unwrap();
    thread::sleep(Duration::from_secs(left + 1));
    assert_eq!((app.get("/nobody_here/rss").status, app.get(RSS).status), (404, 200));
}

#[test]
fn an_upstream_with_pages_of_its_own_is_left_alone() {
    let (fake, app) = service(&["--burst", "100"]);
    fake.override_all(Answer::page(&page("not_telegram")));
    let statuses: Vec<u16> = (0..8).map(|n| app.get(&format!("/behind_a_wall_{n}/rss")).status).collect();
    assert_eq!(statuses, [502, 502, 502, 502, 502, 503, 503, 503]);
    assert_eq!(fake.times().len(), 5);
}

#[test]
fn one_answer_that_does_not_come_is_no_outage() {
    let (fake, app) = service(&[]);
    fake.on("/s/hung_up", Answer { framing: Framing::NoResponse, ..Answer::status(200) });
    assert_eq!((app.get("/hung_up/rss").status, app.get(RSS).status), (502, 200));
}

#[test]
fn who_is_refused_is_told_when_to_come_again() {
    let (fake, app) = service(&[]);
    fake.on(PREVIEW, Answer::status(429).with("Retry-After", "1800"));
    let wait: u64 = app.get(RSS).header("Retry-After").unwrap().parse().unwrap();
    assert!((1790..=1800).contains(&wait), "{wait}");
}

#[test]
fn a_request_names_the_host_that_it_asks() {
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
fn however_many_channels_are_asked_for_telegram_is_asked_at_its_rate() {
    const NAMES: usize = 10_000;
    const READERS: usize = 20;
    const BURST: usize = 5;
    let fake = FakeTelegram::start();
    let app = App::start(&fake.url(), &[]);
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
    assert_eq!(unanswered, 0, "each is told when to come again");
    let times = fake.times();
    assert!(times.len() >= BURST, "{} requests", times.len());
    for (i, first) in times.iter().enumerate() {
        for (n, last) in times[i..].iter().enumerate() {
            // Two more, since requests that were made in time may be noticed together.
            let most = BURST + 1 + usize::try_from((*last - *first).as_secs()).unwrap() + 1;
            assert!(n < most, "{} requests in {:?}", n + 1, *last - *first);
        }
    }
}

#[test]
fn only_a_trusted_proxy_says_what_was_asked_before_it() {
    let headers = [
        ("Host", "inner:8080"),
        ("X-Forwarded-Host", "feeds.example.org"),
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

/// Takes as long as the program waits for the head of a request, ten seconds.
#[test]
fn a_client_that_never_finishes_its_request_is_let_go() {
    let (_fake, app) = service(&["--metrics-listen", "127.0.0.1:0"]);
    let metrics = app.wait_for_listener("/-/metrics");
    let slow = [app.address, metrics].map(|address| {
        let mut slow = TcpStream::connect(address).unwrap();
        slow.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        slow.write_all(b"GET /harbour_news/rss HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
        slow
    });
    assert_eq!(app.get(RSS).status, 200, "nobody else waits");
    assert_eq!(http::ask(metrics, "GET", "/-/metrics", &[]).status, 200);
    for mut slow in slow {
        assert!(slow.read_to_end(&mut Vec::new()).is_ok(), "the connection is closed");
    }
}

#[test]
fn a_request_with_too_much_of_a_head_is_refused() {
    let (_fake, app) = service(&[]);
    let long = "x".repeat(200 << 10);
    let answer = app.ask("GET", RSS, &[("X-Long", &long)]);
    assert_eq!(answer.status, 431);
}
