//! Simulated fleets: many channels over several replicas, each with several identities. A load balancer sends all requests for
//! a channel to the same replica, as the manual says.

use std::time::Duration;

use super::simulation::{HOUR, HOURLY, Habit, Simulation, simulate};

/// 1,000 channels that are polled every 15 minutes need 1.1 requests per second: more than one identity may send.
#[tokio::test(start_paused = true)]
async fn capacity_grows_with_replicas_and_identities() {
    let quarterly = Habit {
        interval: Duration::from_mins(15),
        batch: 100,
        jitter: Duration::from_secs(20),
        connections: 16,
    };
    let fleet = Simulation {
        n_replicas: 2,
        n_identities: 2,
        n_channels: 1000,
        readers: vec![quarterly],
        prefetch: true,
        warm_up: Duration::from_mins(105),
        duration: Duration::from_mins(135),
    };
    let figures = simulate(7, fleet).await;
    assert!(figures.share_of_older_delivered() >= 0.99, "{figures:?}");
    assert!(figures.requests_per_poll() >= 0.9, "{figures:?}");
    assert!(figures.longest_wait <= Duration::from_secs(5), "{figures:?}");
}

/// Prints the figures of the manual: channels with an hourly reader each, and 0 to 50 % more addresses than needed.
#[tokio::test(start_paused = true)]
#[ignore = "takes minutes, optimized"]
#[expect(clippy::print_stderr, reason = "for the manual")]
async fn figures_of_a_fleet() {
    for (n_channels, n_replicas) in [(10_000_usize, 1), (100_000, 4)] {
        for percent in [100, 120, 150] {
            // An address may send 3,600 requests per hour.
            let n_identities = (n_channels * percent).div_ceil(3600 * 100 * n_replicas);
            let simulation = Simulation {
                n_replicas,
                n_identities,
                n_channels,
                readers: vec![HOURLY],
                prefetch: true,
                warm_up: 3 * HOUR,
                duration: 5 * HOUR,
            };
            let figures = simulate(7, simulation).await;
            eprintln!(
                "{n_channels} channels, {n_replicas} replicas of {n_identities} addresses: {:.4} of older, {:.4} of all, \
                 {:.3} requests per poll, {:.2} per second, {:?}",
                figures.share_of_older_delivered(),
                figures.share_delivered(),
                figures.requests_per_poll(),
                f64::from(figures.upstream_requests) / (2.0 * HOUR.as_secs_f64()),
                figures.longest_wait
            );
        }
    }
}
