//! A simulated day: readers poll many channels, and the real channels, queues and limits decide what they get. Time is
//! paused and advances to the next event, so that a day takes seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Channels, ChannelsConfig, Freshness, RejectedPages, Visitor};
use crate::archive::Archive;
use crate::clock;
use crate::model::channel::ChannelName;
use crate::telegram::client::{Client, FakePages};
use crate::telegram::upstream::RateLimits;

pub(super) const HOUR: Duration = Duration::from_hours(1);

/// How a reader polls its channels.
#[derive(Clone, Copy)]
pub(super) struct Habit {
    pub(super) interval: Duration,
    /// The channels that it polls one after the other; the batches of an interval are spread over it.
    pub(super) batch: usize,
    /// How much earlier or later a batch begins than the interval says.
    pub(super) jitter: Duration,
    /// The requests that it sends at a time.
    pub(super) connections: usize,
}

/// Simulated replicas behind a load balancer that sends all requests for a channel to the same one.
pub(super) struct Simulation {
    pub(super) n_replicas: usize,
    /// The identities of each replica.
    pub(super) n_identities: usize,
    pub(super) n_channels: usize,
    pub(super) readers: Vec<Habit>,
    pub(super) prefetch: bool,
    /// How long readers poll before the figures count: the service has to learn when they come.
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
}

/// The posts that the readers received.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) polls: u32,
    pub(super) upstream_requests: u32,
    /// Posts that a reader has not polled before, and those of them that its first poll delivered.
    posts: u32,
    delivered: u32,
    /// [`Self::posts`] and [`Self::delivered`] of the posts that were published at least five minutes before the poll.
    older_posts: u32,
    older_delivered: u32,
    pub(super) longest_wait: Duration,
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.polls += other.polls;
        self.posts += other.posts;
        self.delivered += other.delivered;
        self.older_posts += other.older_posts;
        self.older_delivered += other.older_delivered;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
    }

    pub(super) fn requests_per_poll(&self) -> f64 {
        f64::from(self.upstream_requests) / f64::from(self.polls)
    }

    pub(super) fn share_delivered(&self) -> f64 {
        f64::from(self.delivered) / f64::from(self.posts)
    }

    pub(super) fn share_of_older_delivered(&self) -> f64 {
        f64::from(self.older_delivered) / f64::from(self.older_posts)
    }
}

/// When each post of each channel is published.
type Posts = HashMap<ChannelName, Vec<Timestamp>>;

/// Publishes posts of each channel by a Poisson process, with a mean interval between half an hour and a day.
fn publish(rng: &mut fastrand::Rng, n_channels: usize, duration: Duration) -> Posts {
    let (start, end) = (clock::now(), clock::now() + duration);
    let channel = |n| {
        let mean = 1800.0 * 48_f64.powf(rng.f64());
        let mut posts = vec![start - SignedDuration::from_hours(1)];
        let mut at = start;
        while at < end {
            at += SignedDuration::from_secs_f64(-mean * (1.0 - rng.f64()).ln());
            posts.push(at);
        }
        (ChannelName::new(&format!("simulated_{n}")).unwrap(), posts)
    };
    (0..n_channels).map(channel).collect()
}

/// Returns the preview page of a channel with its newest post.
pub(super) fn page(name: &ChannelName, posts: &[Timestamp]) -> String {
    let now = clock::now();
    let n = posts.partition_point(|post| *post <= now);
    let (id, at) = (n, posts[n - 1].strftime("%FT%T+00:00"));
    format!(
        "<!DOCTYPE html><html><body><div class=\"tgme_channel_info\"><div class=\"tgme_channel_info_header_title\">\
         <span>{name}</span></div><div class=\"tgme_channel_info_header_username\">\
         <a href=\"https://t.me/{name}\">@{name}</a></div></div><main><section class=\"tgme_channel_history\">\
         <div class=\"tgme_widget_message js-widget_message\" data-post=\"{name}/{id}\">\
         <div class=\"tgme_widget_message_text js-message_text\">Post {id}</div>\
         <a class=\"tgme_widget_message_date\" href=\"https://t.me/{name}/{id}\"><time datetime=\"{at}\"></time></a></div>\
         </section></main></body></html>"
    )
}

/// Returns the replica that a channel's requests are sent to.
fn replica_of(name: &ChannelName, n_replicas: usize) -> usize {
    name.as_str().bytes().fold(0, |hash: usize, byte| hash.wrapping_mul(31).wrapping_add(byte.into()))
        % n_replicas
}

/// Polls the channels of a reader until the end.
async fn poll(
    replicas: Arc<[Arc<Channels>]>,
    habit: Habit,
    visitor: Visitor,
    posts: Arc<Posts>,
    (warm_up, end): (Instant, Instant),
    mut rng: fastrand::Rng,
) -> Figures {
    let mut names: Vec<ChannelName> = posts.keys().cloned().collect();
    names.sort_by_key(ToString::to_string);
    let phase = habit.interval.mul_f64(rng.f64());
    let start = Instant::now();
    let batches = names.chunks(habit.batch).enumerate().map(|(n, batch)| {
        let (replicas, posts, mut rng) = (Arc::clone(&replicas), Arc::clone(&posts), rng.fork());
        let offset = phase
            + habit.interval.mul_f64(
                f64::from(u32::try_from(n * habit.batch).unwrap())
                    / f64::from(u32::try_from(names.len()).unwrap()),
            );
        async move {
            let mut figures = Figures::default();
            let mut polled: HashMap<ChannelName, Timestamp> = HashMap::new();
            let mut batch = batch.to_vec();
            for round in 0.. {
                let at = start + offset + habit.jitter + habit.interval * round;
                let at = at - habit.jitter + habit.jitter.mul_f64(2.0 * rng.f64());
                if at >= end {
                    break;
                }
                sleep_until(at).await;
                rng.shuffle(&mut batch);
                let answers = stream::iter(&batch).map(async |name| {
                    let channels = &replicas[replica_of(name, replicas.len())];
                    let (asked, started) = (clock::now(), Instant::now());
                    let answer = channels.get(name, visitor).await.ok()?;
                    channels.record_visit(name, visitor);
                    Some((name, asked, started.elapsed(), answer.snapshot.newest()))
                });
                let answers: Vec<_> = answers.buffer_unordered(habit.connections).collect().await;
                for (name, asked, wait, newest) in answers.into_iter().flatten() {
                    let before = polled.insert(name.clone(), asked);
                    let Some(before) = before.filter(|_| at >= warm_up) else { continue };
                    figures.polls += 1;
                    figures.longest_wait = figures.longest_wait.max(wait);
                    for post in posts[name].iter().filter(|post| **post > before && **post <= asked) {
                        // Feeds have whole seconds.
                        let is_delivered = u32::from(post.as_second() <= newest.as_second());
                        let is_older = u32::from(asked.duration_since(*post) >= SignedDuration::from_mins(5));
                        figures.posts += 1;
                        figures.delivered += is_delivered;
                        figures.older_posts += is_older;
                        figures.older_delivered += is_older * is_delivered;
                    }
                }
            }
            figures
        }
    });
    let mut all = Figures::default();
    for figures in futures_util::future::join_all(batches).await {
        all.add(&figures);
    }
    all
}

/// Returns the default settings.
pub(super) fn config(prefetch: bool) -> ChannelsConfig {
    ChannelsConfig {
        cache_size: 64 << 20,
        freshness: Freshness { min: Duration::from_mins(5), max: HOUR },
        refresh_wait: Duration::from_secs(4),
        prefetch,
        gap_pages: 10,
        keeps_media_urls: false,
        rejected_pages: RejectedPages::new("/nonexistent".as_ref()),
    }
}

/// Returns channels with the default settings whose pages come from `pages`, and that have no archive.
pub(super) fn channels(pages: FakePages, n_identities: usize, prefetch: bool) -> Arc<Channels> {
    let client = Client::with_pages(RateLimits::default(), n_identities, pages);
    Channels::new(Arc::new(client), Archive::unavailable(), config(prefetch))
}

/// Returns channels with an archive in memory, whose threads do not know paused time.
pub(super) async fn archived_channels(pages: FakePages, config: ChannelsConfig) -> Arc<Channels> {
    let client = Client::with_pages(RateLimits::default(), 1, pages);
    Channels::new(Arc::new(client), Archive::in_memory(1 << 20).await.unwrap(), config)
}

pub(super) async fn simulate(seed: u64, simulation: Simulation) -> Figures {
    let Simulation { n_replicas, n_identities, n_channels, readers, prefetch, warm_up, duration } =
        simulation;
    let mut rng = fastrand::Rng::with_seed(seed);
    fastrand::seed(seed);
    let posts = Arc::new(publish(&mut rng, n_channels, duration));
    let (warm_up, end) = (Instant::now() + warm_up, Instant::now() + duration);
    let requests = Arc::new(AtomicU32::new(0));
    let pages = || {
        let (posts, requests) = (Arc::clone(&posts), Arc::clone(&requests));
        move |name: &ChannelName| {
            requests.fetch_add(u32::from(Instant::now() >= warm_up), Ordering::Relaxed);
            let page = page(name, &posts[name]);
            let latency = Duration::from_secs_f64(0.5 + 2.5 * fastrand::f64());
            let answer = async move {
                sleep(latency).await;
                Ok(page)
            };
            futures_util::FutureExt::boxed(answer)
        }
    };
    let replicas: Arc<[_]> =
        (0..n_replicas).map(|_| channels(Box::new(pages()), n_identities, prefetch)).collect();
    let polls = readers.into_iter().zip(1..).map(|(habit, n)| {
        let visitor = Visitor::new([127, 0, 0, n].into(), b"reader");
        poll(Arc::clone(&replicas), habit, visitor, Arc::clone(&posts), (warm_up, end), rng.fork())
    });
    let mut all = Figures::default();
    for figures in futures_util::future::join_all(polls).await {
        all.add(&figures);
    }
    all.upstream_requests = requests.load(Ordering::Relaxed);
    all
}

pub(super) const HOURLY: Habit =
    Habit { interval: HOUR, batch: 100, jitter: Duration::from_mins(1), connections: 16 };

const DAILY: Habit = Habit {
    interval: Duration::from_hours(24),
    batch: 300,
    jitter: Duration::from_mins(10),
    connections: 16,
};

#[tokio::test(start_paused = true)]
async fn followed_channels_are_refreshed_just_before_their_readers_poll() {
    let simulation = Simulation {
        n_replicas: 1,
        n_identities: 1,
        n_channels: 300,
        readers: vec![HOURLY, HOURLY, HOURLY, DAILY],
        prefetch: true,
        warm_up: 3 * HOUR,
        duration: 9 * HOUR,
    };
    let figures = simulate(7, simulation).await;
    assert!(figures.share_of_older_delivered() >= 0.99, "{figures:?}");
    assert!(figures.share_delivered() >= 0.95, "{figures:?}");
    assert!(figures.requests_per_poll() <= 1.1, "{figures:?}");
    assert!(figures.longest_wait <= Duration::from_secs(5), "{figures:?}");
}

/// Prints the figures of the manual.
#[tokio::test(start_paused = true)]
#[ignore = "takes minutes"]
#[expect(clippy::print_stderr, reason = "for the manual")]
async fn figures_of_the_manual() {
    let at_once = Habit { batch: 300, ..HOURLY };
    let exact = Habit { jitter: Duration::ZERO, ..HOURLY };
    for (what, habit, prefetch) in [
        ("batches of 100", HOURLY, true),
        ("without jitter", exact, true),
        ("300 at once", at_once, true),
        ("--no-prefetch", HOURLY, false),
    ] {
        for seed in 1..=2 {
            let simulation = Simulation {
                n_replicas: 1,
                n_identities: 1,
                n_channels: 300,
                readers: vec![habit, habit, habit, DAILY],
                prefetch,
                warm_up: 3 * HOUR,
                duration: 15 * HOUR,
            };
            let figures = simulate(seed, simulation).await;
            eprintln!(
                "{what}, seed {seed}: {:.4} of older, {:.4} of all, {:.3} requests per poll, {:?}",
                figures.share_of_older_delivered(),
                figures.share_delivered(),
                figures.requests_per_poll(),
                figures.longest_wait
            );
        }
    }
}
