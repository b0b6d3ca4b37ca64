//! Simulated imports: a reader asks for many new channels at once, with the default settings and paused time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, sleep, sleep_until};

use super::simulation::{channels, page};
use super::{Channels, Visitor};
use crate::clock;
use crate::model::channel::ChannelName;
use crate::telegram::error::UpstreamErrorKind;
use crate::telegram::upstream::RateLimits;

const N_CHANNELS: usize = 100;

/// A fake Telegram that records its requests.
#[derive(Default)]
struct Fake {
    requests: Mutex<Vec<(Instant, ChannelName)>>,
    /// The number of the request that it refuses.
    refuses: Option<usize>,
}

/// The pause that a refusal asks for.
const RETRY_AFTER: Duration = Duration::from_mins(1);

impl Fake {
    fn start(refuses: Option<usize>) -> (Arc<Self>, Arc<Channels>) {
        let fake = Arc::new(Self { refuses, ..Self::default() });
        let answering = Arc::clone(&fake);
        let pages = move |name: &ChannelName| {
            let answer = answering.answer(name);
            async move {
                sleep(Duration::from_millis(500)).await;
                answer
            }
            .boxed()
        };
        (fake, channels(Box::new(pages), 1, true))
    }

    fn answer(&self, name: &ChannelName) -> Result<String, UpstreamErrorKind> {
        let mut requests = self.requests.lock().unwrap();
        requests.push((Instant::now(), name.clone()));
        if self.refuses == Some(requests.len()) {
            return Err(UpstreamErrorKind::Refused { status: 429, retry_after: Some(RETRY_AFTER) });
        }
        Ok(if name.as_str().starts_with("invented_") {
            include_str!("../../tests/pages/landing_nobody.html").replace("nobody_here", name.as_str())
        } else {
            page(name, &[clock::now()])
        })
    }

    fn times(&self) -> Vec<Instant> {
        self.requests.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }

    fn n_requests(&self, prefix: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|(_, name)| name.as_str().starts_with(prefix)).count()
    }
}

fn names(prefix: &str, n: usize) -> Vec<ChannelName> {
    (0..n).map(|n| ChannelName::new(&format!("{prefix}_{n}")).unwrap()).collect()
}

/// Asks for all channels, some at a time. Returns how many were answered.
async fn ask(channels: &Arc<Channels>, client: u8, names: &[ChannelName], at_a_time: usize) -> usize {
    let visitor = Visitor::new([127, 0, 0, client].into(), b"reader");
    let n_answered = AtomicUsize::new(0);
    let answers = stream::iter(names).map(async |name| {
        let is_answered = channels.get(name, visitor).await.is_ok();
        n_answered.fetch_add(usize::from(is_answered), Ordering::Relaxed);
    });
    answers.buffer_unordered(at_a_time).collect::<Vec<_>>().await;
    n_answered.into_inner()
}

/// Panics if more requests were sent than the limits allow.
fn check_rate(times: &[Instant]) {
    let limits = RateLimits::default();
    for (n, first) in times.iter().enumerate() {
        for (sent, last) in times[n..].iter().zip(1..) {
            let allowed =
                f64::from(limits.burst.get()) + (*sent - *first).as_secs_f64() * f64::from(limits.rate.get());
            assert!(f64::from(last) <= allowed + 0.1, "{last} requests in {:?}", *sent - *first);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn new_channels_are_all_read_within_two_minutes() {
    for at_a_time in [16, 100] {
        let (fake, channels) = Fake::start(None);
        let (start, names) = (Instant::now(), names("imported", N_CHANNELS));
        let n_answered = ask(&channels, 1, &names, at_a_time).await;
        assert!(n_answered >= 50, "only {n_answered} were answered at once, {at_a_time} at a time");
        sleep_until(start + Duration::from_mins(2)).await;
        assert_eq!(fake.n_requests("imported_"), N_CHANNELS, "{at_a_time} at a time");
        assert_eq!(ask(&channels, 1, &names, at_a_time).await, N_CHANNELS, "{at_a_time} at a time");
        check_rate(&fake.times());
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_in_the_middle_loses_no_new_channel() {
    const REFUSED: usize = 45;
    let (fake, channels) = Fake::start(Some(REFUSED));
    let (start, names) = (Instant::now(), names("imported", N_CHANNELS));
    ask(&channels, 1, &names, 16).await;
    sleep_until(start + Duration::from_mins(4)).await;
    let times = fake.times();
    // Requests that were in flight with the refused one may end after it.
    let (refused, next) = (times[REFUSED - 1], times[REFUSED + 3]);
    assert!(next - refused >= RETRY_AFTER, "a request was sent {:?} after the refusal", next - refused);
    assert_eq!(fake.n_requests("imported_"), N_CHANNELS + 1);
    assert_eq!(ask(&channels, 1, &names, 16).await, N_CHANNELS);
}

#[tokio::test(start_paused = true)]
async fn invented_names_of_another_client_do_not_delay_an_import() {
    let (fake, channels) = Fake::start(None);
    let invented = names("invented", 400);
    ask(&channels, 2, &invented, 100).await;
    let (start, names) = (Instant::now(), names("imported", N_CHANNELS));
    ask(&channels, 1, &names, 16).await;
    sleep_until(start + Duration::from_mins(4)).await;
    assert_eq!(fake.n_requests("imported_"), N_CHANNELS);
    sleep(Duration::from_mins(4)).await;
    let n_requests = fake.n_requests("invented_");
    assert_eq!(n_requests, invented.len(), "each name is read once");
    let fresh = &invented[350..];
    assert_eq!(ask(&channels, 2, fresh, 16).await, 0);
    assert_eq!(fake.n_requests("invented_"), n_requests, "names that are not channels are remembered");
}
