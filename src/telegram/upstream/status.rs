//! The status of an upstream, for the operator.

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::Upstream;
use crate::clock;
use crate::resilience::breaker::{OpenReason, OpenState};

/// The state of an upstream.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamStatus {
    /// The host and port.
    pub host: String,
    /// The proxy through which it is asked, without its password.
    pub proxy: Option<String>,
    /// The circuit breaker.
    pub breaker: BreakerStatus,
    /// Requests that wait to be sent.
    pub queue_length: usize,
    /// Requests that were sent and not answered yet.
    pub in_flight: usize,
    /// Requests per second that are sent at most, on average.
    pub rate: u32,
    /// Requests that may be sent at once after a pause.
    pub burst: u32,
}

/// The state of a circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BreakerStatus {
    /// Whether requests are sent.
    pub state: BreakerState,
    /// When the breaker opened for the first time since the last success; `None` if it is closed.
    pub since: Option<Timestamp>,
    /// When the next request is sent; `None` if the breaker does not stop requests.
    pub until: Option<Timestamp>,
}

/// The state of an upstream's circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Requests are sent.
    Closed,
    /// It refused requests (429 or 503), so none is sent.
    Refused,
    /// It cannot be reached or keeps failing, so no request is sent.
    Failing,
    /// The pause is over: the next answer decides.
    Probing,
}

impl BreakerStatus {
    fn of(open: Option<OpenState>) -> Self {
        let Some(open) = open else { return Self { state: BreakerState::Closed, since: None, until: None } };
        let (now, wall) = (Instant::now().into_std(), clock::now());
        let is_paused = open.until > now && !open.is_probing;
        let state = match open.reason {
            _ if !is_paused => BreakerState::Probing,
            OpenReason::Refused => BreakerState::Refused,
            OpenReason::Failing => BreakerState::Failing,
        };
        Self {
            state,
            since: Some(wall - now.saturating_duration_since(open.since)),
            until: is_paused.then(|| wall + open.until.saturating_duration_since(now)),
        }
    }
}

impl Upstream {
    /// Returns the current status of the upstream.
    pub(in crate::telegram) fn status(&self) -> UpstreamStatus {
        let max_in_flight = self.limits.in_flight.get() as usize;
        UpstreamStatus {
            host: self.url.host(),
            proxy: self.identity.proxy.clone(),
            breaker: BreakerStatus::of(self.breaker().open_state()),
            queue_length: self.waiting.borrow().iter().sum(),
            in_flight: max_in_flight.saturating_sub(self.in_flight.available_permits()),
            rate: self.limits.rate.get(),
            burst: self.limits.burst.get(),
        }
    }
}
