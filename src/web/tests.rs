//! The layers around every answer, each with a route that needs it.

use super::*;
use crate::archive::Archive;
use crate::config::Cli;
use crate::refresh::{Freshness, Samples};
use crate::telegram::client::{Client, Politeness};
use axum::body::Body;
use clap::Parser;
use std::sync::LazyLock;
use tower::Service;

/// A program has one.
static METER: LazyLock<Arc<Meter>> = LazyLock::new(|| Arc::new(Meter::install().unwrap()));

async fn app() -> App {
    let args = Cli::parse_from(["telewire", "--upstream", "http://127.0.0.1:9"]).serve;
    let client = Client::new(args.upstream.client_options(Politeness::default())).unwrap();
    let freshness = Freshness { min: args.fresh_min, max: args.fresh_max };
    let archive = Archive::in_memory(1 << 20).await.unwrap();
    let samples = Samples::new(&args.place.data_dir);
    let good_for = args.own_media.good_for();
    let channels = Channels::new(client, archive, args.cache_size, freshness, 0, good_for, samples);
    App::new(channels, crate::media::of_this_run().unwrap(), Arc::clone(&METER), &args).unwrap()
}

async fn status(router: &Router, path: &str) -> (StatusCode, bool) {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = router.clone().call(request).await.unwrap();
    (response.status(), response.headers().contains_key("retry-after"))
}

#[tokio::test]
async fn a_panic_is_an_answer_and_is_counted() {
    let app = app().await;
    let panics = get(async || -> &'static str { panic!("on purpose") });
    let router = armoured(Router::new().route("/panics", panics), &app).with_state(app.clone());
    for n in 1..=2 {
        assert_eq!(status(&router, "/panics").await, (StatusCode::INTERNAL_SERVER_ERROR, false));
        assert_eq!(app.0.n_panics.load(Ordering::Relaxed), n);
    }
}

#[tokio::test]
async fn one_request_too_many_is_turned_away_but_health_is_not() {
    let app = app().await;
    let router = router(app.clone());
    let _others = app.0.requests.try_acquire_many(MAX_REQUESTS).unwrap();
    assert_eq!(status(&router, "/").await, (StatusCode::SERVICE_UNAVAILABLE, true));
    assert_eq!(status(&router, "/-/healthz").await, (StatusCode::OK, false));
    assert_eq!(status(&router, "/-/readyz").await, (StatusCode::OK, false));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let app = app().await;
    tokio::time::pause();
    let never = get(async || std::future::pending::<&'static str>().await);
    let router = armoured(Router::new().route("/never", never), &app).with_state(app);
    assert_eq!(status(&router, "/never").await, (StatusCode::GATEWAY_TIMEOUT, true));
}
