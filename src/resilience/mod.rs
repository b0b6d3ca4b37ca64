//! Building blocks against failures: backoff, circuit breaker, recent cache, single flight, tally. They do not depend on the
//! rest of the crate.

pub(crate) mod backoff;
pub(crate) mod breaker;
pub(crate) mod recent_cache;
pub(crate) mod single_flight;
pub(crate) mod tally;
