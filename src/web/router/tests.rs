//! The layers around the handlers, each with a route that needs it.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use clap::Parser;
use tower::Service;

use super::super::state::MAX_REQUESTS;
use super::*;
use crate::archive::Archive;
use crate::channels::Visitor;
use crate::config::{Cli, Config};
use crate::metrics::Metrics;
use crate::service::build_state;
use crate::web::base_url::BaseUrl;
use crate::web::context::RequestContext;
use crate::web::middleware;

/// The recorder is process-wide.
static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| Arc::new(Metrics::install().unwrap()));

async fn state() -> Arc<AppState> {
    let key = "0123456789abcdef0123456789abcdef";
    let args = Cli::parse_from(["telewire", "--upstream", "http://127.0.0.1:9", "--media-key", key]).serve;
    let archive = Archive::in_memory(1 << 20).await.unwrap();
    let config = Config::try_from(args).unwrap();
    build_state(&config, archive, key.parse().unwrap(), Arc::clone(&METRICS)).unwrap()
}

async fn status(router: &Router, path: &str) -> (StatusCode, bool) {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = router.clone().call(request).await.unwrap();
    (response.status(), response.headers().contains_key("retry-after"))
}

#[tokio::test]
async fn a_panic_becomes_a_500_or_a_page_and_is_counted() {
    let state = state().await;
    let panics = get(async || -> &'static str { panic!("on purpose") });
    let router = with_panic_handler(with_limits(Router::new().route("/panics", panics), &state));
    let router = router.with_state(Arc::clone(&state));
    for (n, (accept, content_type)) in
        [("*/*", "text/plain; charset=utf-8"), ("text/html", "text/html; charset=utf-8")]
            .into_iter()
            .enumerate()
    {
        let request = Request::builder().uri("/panics").header("accept", accept).body(Body::empty()).unwrap();
        let response = middleware::call(&state, router.clone(), request).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers().get_all("content-type").iter().collect::<Vec<_>>(), [content_type]);
        assert!(METRICS.render().contains(&format!("telewire_panics_total {}\n", n + 1)));
    }
}

#[tokio::test]
async fn requests_over_the_limit_are_rejected_but_health_checks_are_not() {
    let state = state().await;
    let router = router(&state);
    let _others = state.requests.try_acquire_many(MAX_REQUESTS).unwrap();
    assert_eq!(status(&router, "/").await, (StatusCode::SERVICE_UNAVAILABLE, true));
    assert_eq!(status(&router, "/-/healthz").await, (StatusCode::OK, false));
    assert_eq!(status(&router, "/-/readyz").await, (StatusCode::OK, false));
}

#[tokio::test]
async fn a_client_behind_a_proxy_has_at_most_64_requests_in_flight() {
    let state = state().await;
    let router = router(&state);
    let status = async |client: &str| {
        let client = client.parse().unwrap();
        let base_url = BaseUrl::of_host("http", "feeds.example.org");
        let context = RequestContext {
            client,
            visitor: Visitor::new(client, b""),
            base_url,
            query: None,
            path_token: None,
            is_admin: false,
        };
        let request = Request::builder().uri("/").extension(context).body(Body::empty()).unwrap();
        router.clone().call(request).await.unwrap().status()
    };
    let of_client = state.client_requests.of("192.0.2.1".parse().unwrap());
    let mut others = of_client.try_acquire_many(63).unwrap();
    assert_eq!(status("192.0.2.1").await, StatusCode::OK);
    others.merge(of_client.try_acquire().unwrap());
    assert_eq!(status("192.0.2.1").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status("192.0.2.2").await, StatusCode::OK, "another client is not affected");
}

#[tokio::test]
async fn a_slow_request_times_out() {
    let state = state().await;
    tokio::time::pause();
    let never = get(async || std::future::pending::<&'static str>().await);
    let router = with_limits(Router::new().route("/never", never), &state).with_state(state);
    assert_eq!(status(&router, "/never").await, (StatusCode::GATEWAY_TIMEOUT, true));
}
