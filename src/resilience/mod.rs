//! Building blocks against failures: backoff, circuit breaker, tasks that outlive panics, recent cache, single flight, tally.
//! They depend on nothing of the crate but the metrics.

pub(crate) mod backoff;
pub(crate) mod breaker;
pub(crate) mod keep_running;
pub(crate) mod recent_cache;
pub(crate) mod single_flight;
pub(crate) mod tally;
