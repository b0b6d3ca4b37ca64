//! Feeds: `/{channel}/rss`, `/{channel}/atom`, `/{channel}/json`.

use std::sync::{Arc, Weak};

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytesize::ByteSize;
use moka::sync::Cache;

use super::App;
use super::caching::Validators;
use super::encoding::{Encoded, Encoding};
use super::error::Error;
use super::pages;
use super::server::Peer;
use crate::cache::{Flights, Packed};
use crate::config::PublicUrl;
use crate::feed::options::{FeedOptions, MediaHosts};
use crate::feed::{self, Format};
use crate::telegram::address;

/// Answers every address that is not the service's own: a feed of a channel, or the channel's page.
pub(super) async fn answer(
    State(app): State<App>,
    Path(path): Path<String>,
    Extension(peer): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = match path.rsplit_once('/').map(|(typed, name)| (typed, Format::from_name(name))) {
        Some((typed, Some(format))) => match uri.query() {
            None => feed(&app, typed, format, &app.base(&headers, peer), uri.path(), &headers).await,
            Some(_) => Err(Error::Query),
        },
        _ => pages::channel(&app.base(&headers, peer), path.trim_end_matches('/')),
    };
    answer.unwrap_or_else(|err| err.answer(&headers))
}

async fn feed(
    app: &App,
    typed: &str,
    format: Format,
    base: &PublicUrl,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let name = address::parse_channel(typed)?;
    let served = app.0.channels.get(&name).await?;
    let rendered =
        app.0.rendered.get(&served.snapshot, format!("{base}{path}"), format, &app.0.media_hosts).await?;
    let mut answer = rendered.validators.headers(&served);
    if rendered.validators.known_to(headers) {
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    answer.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    answer.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let encoding = Encoding::accepted(headers);
    answer.extend(encoding.name().map(|name| (CONTENT_ENCODING, HeaderValue::from_static(name))));
    Ok((answer, rendered.body.get(encoding)).into_response())
}

/// A feed as bytes.
#[derive(Clone)]
struct Rendered {
    body: Encoded,
    validators: Validators,
    /// What it was rendered from, to know when it is of yesterday.
    of: Weak<Packed>,
}

/// A feed is rendered for its own address, in the format at the end of it.
type Key = String;

/// What the cache itself and the validators take for an entry, roughly.
const ENTRY: usize = 1024;

/// Feeds that were rendered, each once for as long as its snapshot lasts.
pub(super) struct RenderedFeeds {
    kept: Cache<Key, Rendered>,
    flights: Arc<Flights<Key, Option<Rendered>>>,
}

impl RenderedFeeds {
    pub(super) fn new(max_size: ByteSize) -> Self {
        let weigher = |key: &Key, feed: &Rendered| {
            u32::try_from(ENTRY + key.len() + feed.body.len()).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().max_capacity(max_size.as_u64() / 4).weigher(weigher).build();
        Self { kept, flights: Flights::new() }
    }

    async fn get(
        &self,
        snapshot: &Arc<Packed>,
        self_url: String,
        format: Format,
        media_hosts: &MediaHosts,
    ) -> Result<Rendered, Error> {
        let key = self_url.clone();
        if let Some(feed) = current(&self.kept, &key, snapshot) {
            return Ok(feed);
        }
        let (kept, own_key, snapshot) = (self.kept.clone(), key.clone(), Arc::clone(snapshot));
        let options = FeedOptions { self_url, media_hosts: media_hosts.clone() };
        let rendering = || async move {
            // Another rendering may have ended between the look into the cache and this one.
            if let Some(feed) = current(&kept, &own_key, &snapshot) {
                return Some(feed);
            }
            // Rendering takes milliseconds: not on the threads that answer readers.
            let feed =
                tokio::task::spawn_blocking(move || render(&snapshot, &options, format)).await.ok()??;
            kept.insert(own_key, feed.clone());
            Some(feed)
        };
        self.flights.join(key, rendering).await.flatten().ok_or(Error::Broken)
    }
}

fn current(kept: &Cache<Key, Rendered>, key: &Key, snapshot: &Arc<Packed>) -> Option<Rendered> {
    kept.get(key).filter(|feed| Weak::ptr_eq(&feed.of, &Arc::downgrade(snapshot)))
}

fn render(snapshot: &Arc<Packed>, options: &FeedOptions, format: Format) -> Option<Rendered> {
    let whole =
        snapshot.unpack().inspect_err(|err| tracing::error!("a snapshot cannot be unpacked: {err}")).ok()?;
    let feed = feed::build(&whole, options);
    let body = feed::render(&feed, format);
    let validators = Validators::new(&body, feed.updated)?;
    let body =
        Encoded::new(body).inspect_err(|err| tracing::error!("a feed cannot be compressed: {err}")).ok()?;
    Some(Rendered { body, validators, of: Arc::downgrade(snapshot) })
}
