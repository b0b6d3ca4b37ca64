//! Which upstream takes a request, and from which address. This is the only place that decides it.
//!
//! Telegram limits the requests of each address that it sees. Each [`Identity`] asks the same upstreams, with its own
//! limits, queues and circuit breakers, so that capacity grows with the addresses. An identity prefers the upstreams in
//! their order; among the identities, the one whose limits admit the request first is chosen.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::error::{UpstreamError, UpstreamErrorKind};
use super::upstream::{Priority, RateLimits, Upstream, UpstreamStatus, UpstreamUrl};
use crate::net::http_client::Identity;
use crate::resilience::breaker::OpenReason;

/// The upstreams of each identity, in order of preference. There is at least one of both.
pub(super) struct Routes {
    identities: Vec<Vec<Upstream>>,
    limits: RateLimits,
}

impl Routes {
    /// Returns routes to these upstreams, each with these limits from each identity.
    pub(super) fn new(identities: &[Arc<Identity>], upstreams: &[UpstreamUrl], limits: RateLimits) -> Self {
        let routes_of = |identity| {
            upstreams.iter().map(|url| Upstream::new(url.clone(), Arc::clone(identity), limits)).collect()
        };
        Self { identities: identities.iter().map(routes_of).collect(), limits }
    }

    /// Returns the upstream for a request, after those that were `tried` have failed; `None` if no other may be asked.
    ///
    /// A failure may be that of the address or that of the server, so the next one shares neither if possible.
    pub(super) fn choose<'a>(&'a self, tried: &[&Upstream], priority: Priority) -> Option<&'a Upstream> {
        let is_tried = |upstream: &Upstream| tried.iter().any(|tried| std::ptr::eq(*tried, upstream));
        let n_related =
            |upstream: &Upstream| tried.iter().filter(|tried| tried.is_related_to(upstream)).count();
        let preferred = |upstreams: &'a Vec<Upstream>| {
            let untried = usable(upstreams).filter(|upstream: &&Upstream| !is_tried(upstream));
            untried.map(|upstream| (n_related(upstream), upstream)).min_by_key(|(n_related, _)| *n_related)
        };
        let by_load =
            |upstream: &Upstream, other: &Upstream| upstream.load(priority).total_cmp(&other.load(priority));
        let routes = self.identities.iter().filter_map(preferred);
        let best = routes
            .min_by(|(n, upstream), (n_other, other)| n.cmp(n_other).then_with(|| by_load(upstream, other)));
        best.map(|(_, upstream)| upstream)
    }

    /// Returns the error of a request for which no upstream may be asked: that of the pause that ends first.
    pub(super) fn refuse(&self) -> UpstreamError {
        let Some((upstream, reason, left)) = self.first_pause() else { return self.busy() };
        let err = upstream.circuit_open(reason, left);
        upstream.record_outcome(Err(&err.clone().into()));
        err
    }

    /// Returns why an identity may ask no upstream, and for how much longer, of the identity that may ask one first again.
    pub(super) fn first_pause(&self) -> Option<(&Upstream, OpenReason, Duration)> {
        let pauses = self.identities.iter().filter_map(|upstreams| pause(upstreams));
        pauses.min_by_key(|(.., left)| *left)
    }

    /// Returns the error of a request that waits too long in the queue.
    pub(super) fn busy(&self) -> UpstreamError {
        self.identities[0][0].error(UpstreamErrorKind::Busy)
    }

    /// Returns the limits of all identities together: those that no circuit breaker pauses now, but at least one.
    pub(super) fn capacity(&self) -> RateLimits {
        let n_usable = self.identities.iter().filter(|upstreams| usable(upstreams).next().is_some()).count();
        let n_usable =
            NonZeroU32::new(u32::try_from(n_usable).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
        let RateLimits { rate, burst, in_flight } = self.limits;
        RateLimits {
            rate: rate.saturating_mul(n_usable),
            burst: burst.saturating_mul(n_usable),
            in_flight: in_flight.saturating_mul(n_usable),
        }
    }

    /// Returns the current status of each upstream: those of each identity, in order of preference.
    pub(super) fn statuses(&self) -> Vec<UpstreamStatus> {
        self.identities.iter().flatten().map(Upstream::status).collect()
    }

    /// Updates the gauges of the upstreams.
    pub(super) fn report_metrics(&self) {
        self.identities.iter().flatten().for_each(Upstream::report_metrics);
    }
}

/// Returns the upstreams that an identity may ask now, in order of preference. After one that refuses requests no other is
/// asked, since all of them belong to Telegram.
fn usable(upstreams: &[Upstream]) -> impl Iterator<Item = &Upstream> {
    let states = upstreams.iter().map(|upstream| (upstream, upstream.open_for()));
    let states = states.take_while(|(_, open)| !matches!(open, Some((OpenReason::Refused, _))));
    states.filter(|(_, open)| open.is_none()).map(|(upstream, _)| upstream)
}

/// Returns why an identity may ask no upstream, and for how much longer.
fn pause(upstreams: &[Upstream]) -> Option<(&Upstream, OpenReason, Duration)> {
    let open = |upstream| Upstream::open_for(upstream).map(|(reason, left)| (upstream, reason, left));
    let pauses: Vec<_> = upstreams.iter().map_while(open).collect();
    let refused = pauses.iter().find(|(_, reason, _)| *reason == OpenReason::Refused);
    let failing = || pauses.iter().filter(|_| pauses.len() == upstreams.len()).min_by_key(|(.., left)| *left);
    refused.or_else(failing).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http_client::{HttpClientConfig, UserAgent};
    use crate::telegram::error::FetchError;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns routes from two proxies to two upstreams, with a burst of two requests.
    fn routes() -> Routes {
        let config = HttpClientConfig {
            user_agent: UserAgent::DEFAULT.parse().unwrap(),
            proxies: ["socks5://a.example:1080", "socks5://b.example:1080"]
                .map(|url| url.parse().unwrap())
                .into(),
            dns: Vec::new(),
        };
        let upstreams =
            ["https://one.example", "https://two.example"].map(|url| UpstreamUrl::parse(url).unwrap());
        let limits = RateLimits { burst: NonZeroU32::new(2).unwrap(), ..RateLimits::default() };
        let identities = config.identities(&[], |client| client).unwrap().into_iter().map(Arc::new);
        Routes::new(&identities.collect::<Vec<_>>(), &upstreams, limits)
    }

    /// Returns an upstream's first letters, such as `a one`.
    fn name(upstream: Option<&Upstream>) -> String {
        let name = |upstream: &Upstream| {
            format!("{} {}", &upstream.identity.proxy.as_ref().unwrap()[..1], &upstream.url.host()[..3])
        };
        upstream.map_or_else(|| "none".to_owned(), name)
    }

    fn choose(routes: &Routes, tried: &[&Upstream]) -> String {
        name(routes.choose(tried, Priority::High))
    }

    fn fail(upstream: &Upstream, kind: UpstreamErrorKind) {
        upstream.record_outcome(Err(&FetchError::Upstream(upstream.error(kind))));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_go_to_the_identity_that_admits_them_first() {
        let routes = routes();
        let mut chosen = Vec::new();
        for _ in 0..4 {
            let upstream = routes.choose(&[], Priority::High).unwrap();
            chosen.push(name(Some(upstream)));
            drop(upstream.acquire(Priority::High).await.unwrap());
        }
        assert_eq!(chosen, ["a one", "b one", "a one", "b one"]);
        // A request in flight counts too: that identity is slow.
        tokio::time::sleep(10 * SECOND).await;
        let _in_flight = routes.choose(&[], Priority::High).unwrap().acquire(Priority::High).await.unwrap();
        tokio::time::sleep(10 * SECOND).await;
        assert_eq!(choose(&routes, &[]), "b one");
    }

    #[test]
    fn the_next_try_shares_neither_address_nor_server() {
        let routes = routes();
        let mut tried = Vec::new();
        while let Some(upstream) = routes.choose(&tried, Priority::High) {
            tried.push(upstream);
        }
        let names: Vec<_> = tried.into_iter().map(|upstream| name(Some(upstream))).collect();
        assert_eq!(names, ["a one", "b two", "a two", "b one"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_identity_asks_nobody_and_the_other_carries_on() {
        let routes = routes();
        fail(
            &routes.identities[0][0],
            UpstreamErrorKind::Refused { status: 429, retry_after: Some(90 * SECOND) },
        );
        assert_eq!(choose(&routes, &[]), "b one");
        assert_eq!(routes.capacity().rate.get(), 1);
        fail(&routes.identities[1][0], UpstreamErrorKind::Unreachable("for a test".to_owned()));
        assert_eq!(choose(&routes, &[]), "b two");
        fail(
            &routes.identities[1][1],
            UpstreamErrorKind::Refused { status: 429, retry_after: Some(60 * SECOND) },
        );
        assert_eq!(choose(&routes, &[]), "none");
        let (upstream, reason, left) = routes.first_pause().unwrap();
        assert_eq!(
            (name(Some(upstream)), reason, left),
            ("b two".to_owned(), OpenReason::Refused, 60 * SECOND)
        );
        assert!(matches!(routes.refuse().kind, UpstreamErrorKind::CircuitOpen { refused: true, .. }));
        tokio::time::sleep(61 * SECOND).await;
        assert_eq!((choose(&routes, &[]), routes.capacity().rate.get()), ("b one".to_owned(), 1));
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(routes.capacity().rate.get(), 2);
    }
}
