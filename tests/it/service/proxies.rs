//! Several proxies: each is an address with its own limits at Telegram, and the others take over when one fails.

use std::array;
use std::thread;

use crate::support::app::App;
use crate::support::fake_proxy::{FakeProxy, PASSWORD};
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::{CHANNEL, http, page};

/// Three proxies, each before its own fake Telegram, which thus sees the requests from this address.
struct Addresses {
    telegrams: [FakeTelegram; 3],
    proxies: [FakeProxy; 3],
}

impl Addresses {
    /// Starts the proxies and a service that uses them.
    fn start(flags: &[&str]) -> (Self, App) {
        let telegrams = array::from_fn(|_| FakeTelegram::start());
        let proxies = telegrams.each_ref().map(|telegram| FakeProxy::start(&telegram.host()));
        let [first, second, third] = proxies.each_ref().map(FakeProxy::url);
        let two = format!("{first},{second}");
        let flags = [&["--proxy", &two, "--proxy", &third], flags].concat();
        let app = App::start(&telegrams[0].url(), &flags);
        (Self { telegrams, proxies }, app)
    }

    /// Adds channels to Telegram, and returns their names.
    fn add_channels(&self, prefix: &str, n: usize) -> Vec<String> {
        let names: Vec<String> = (0..n).map(|n| format!("{prefix}_{n:02}")).collect();
        for (name, telegram) in names.iter().flat_map(|name| self.telegrams.iter().map(move |to| (name, to)))
        {
            telegram.on(&format!("/s/{name}"), Answer::page(&page("text").replace(CHANNEL, name)));
        }
        names
    }

    /// Returns the number of requests for these channels that came from each address.
    fn counts(&self, prefix: &str) -> [usize; 3] {
        self.telegrams.each_ref().map(|telegram| telegram.paths(&format!("/s/{prefix}")).len())
    }

    /// Returns the value of a metric of an upstream through a proxy.
    fn metric(&self, app: &App, name: &str, proxy: usize, outcome: &str) -> f64 {
        let (host, proxy) = (self.telegrams[0].host(), self.proxies[proxy].host());
        app.metric(&format!("{name}{{host=\"{host}\",proxy=\"{proxy}\"{outcome}}}"))
    }
}

fn feed_status(app: &App, name: &str) -> u16 {
    app.get(&format!("/{name}/rss")).status
}

/// Takes about seven seconds: 45 channels at twice three requests per second. A single address would have read at most 23
/// of them before their requests are given up after eleven seconds.
#[test]
fn rates_of_proxies_add_up() {
    let (addresses, app) = Addresses::start(&["--rate", "2", "--burst", "1"]);
    let names = addresses.add_channels("new_one", 45);
    let address = app.address;
    let ask = |name: &String| {
        let target = format!("/{name}/rss");
        thread::spawn(move || http::ask(address, "GET", &target, &[]).status)
    };
    let requests: Vec<_> = names.iter().map(ask).collect();
    for request in requests {
        assert_eq!(request.join().unwrap(), 200);
    }
    let counts = addresses.counts("new_one");
    assert_eq!(counts.iter().sum::<usize>(), names.len(), "each channel is fetched once");
    assert!(counts.iter().all(|n| (10..=20).contains(n)), "{counts:?}");
    for (proxy, count) in counts.iter().enumerate() {
        let n_answered = addresses.metric(&app, "telewire_upstream_requests_total", proxy, ",outcome=\"ok\"");
        assert_eq!(n_answered.to_string(), count.to_string());
    }
}

#[test]
fn other_proxies_take_the_share_of_one_that_is_killed() {
    let (addresses, app) = Addresses::start(&["--burst", "100"]);
    for name in addresses.add_channels("before_it", 12) {
        assert_eq!(feed_status(&app, &name), 200);
    }
    let before = addresses.counts("before_it");
    assert!(before.iter().all(|n| *n > 0), "{before:?}");
    addresses.proxies[1].shut_down();
    for name in addresses.add_channels("after_it", 12) {
        assert_eq!(feed_status(&app, &name), 200);
    }
    let after = addresses.counts("after_it");
    assert!(after[0] > 0 && after[1] == 0 && after[2] > 0, "{after:?}");
    assert_eq!(after.iter().sum::<usize>(), 12);
    let n_failed = addresses.metric(&app, "telewire_upstream_requests_total", 1, ",outcome=\"unreachable\"")
        + addresses.metric(&app, "telewire_upstream_requests_total", 1, ",outcome=\"broken\"");
    assert!(n_failed >= 1.0, "the killed proxy was not tried");
    let is_secret = |text: &str| text.contains(PASSWORD);
    assert!(!is_secret(app.get("/-/metrics").text()));
    assert_eq!(app.log().into_iter().find(|line| is_secret(line)), None);
}

#[test]
fn other_proxies_carry_on_while_telegram_refuses_one_address() {
    let (addresses, app) = Addresses::start(&["--burst", "100"]);
    let refusal = Answer::status(429).with("Retry-After", "600");
    addresses.telegrams[1].override_all(refusal.clone());
    for name in addresses.add_channels("new_one", 12) {
        assert_eq!(feed_status(&app, &name), 200);
    }
    let counts = addresses.counts("new_one");
    assert_eq!((counts[0] + counts[2], counts[1]), (12, 1), "the refused address is paused");
    assert!(counts[0] > 0 && counts[2] > 0, "{counts:?}");
    let is_paused = |proxy| addresses.metric(&app, "telewire_upstream_circuit_open", proxy, "");
    assert_eq!([0, 1, 2].map(is_paused).map(|open| open > 0.0), [false, true, false]);
    for other in [0, 2] {
        addresses.telegrams[other].override_all(refusal.clone());
    }
    for name in addresses.add_channels("too_late", 3) {
        let answer = app.get(&format!("/{name}/rss"));
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.header("Retry-After").is_some() && !answer.text().contains(PASSWORD));
    }
    assert_eq!(addresses.counts("too_late"), [1, 0, 1], "each address is asked once");
}
