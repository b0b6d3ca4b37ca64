//! The rate limit per client.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::web::client_permits::network_of;
use crate::web::error::Error;

/// The requests that one client may send.
#[derive(Clone, Copy, Debug)]
pub struct ClientRate {
    /// Sustained requests per second.
    pub rate: NonZeroU32,
    /// Requests at once after a pause.
    pub burst: NonZeroU32,
}

/// Counts the requests of each client.
pub(super) struct RateLimit(DefaultKeyedRateLimiter<IpAddr>);

impl RateLimit {
    pub(super) fn new(rate: ClientRate) -> Self {
        Self(RateLimiter::keyed(Quota::per_second(rate.rate).allow_burst(rate.burst)))
    }

    /// Counts a request.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] with the time until the next request is allowed.
    pub(super) fn check(&self, client: IpAddr) -> Result<(), Error> {
        self.0.check_key(&network_of(client)).map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            Error::RateLimited(wait.max(Duration::from_secs(1)))
        })
    }

    /// Removes clients that have their full burst again.
    pub(super) fn run_upkeep(&self) {
        self.0.retain_recent();
    }
}
