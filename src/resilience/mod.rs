//! Building blocks against failures: backoff, circuit breaker, single flight. They know nothing of what they protect.

pub(crate) mod backoff;
pub(crate) mod breaker;
pub(crate) mod single_flight;
