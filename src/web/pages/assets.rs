//! The files that pages load: `/-/assets/…`. Their names contain a hash of their content, so that browsers keep them.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::web::encoding::Encoding;
use crate::web::error::Error;
use crate::web::middleware::access::{ASSETS_PREFIX, FEED_STYLESHEET_PATHS};
use crate::web::state::AppState;

/// A file that pages load, embedded in the binary.
pub(super) struct Asset {
    stem: &'static str,
    extension: &'static str,
    content_type: &'static str,
    content: &'static str,
}

/// The stylesheet of all pages.
pub(super) const STYLESHEET: Asset = Asset {
    stem: "style",
    extension: "css",
    content_type: "text/css; charset=utf-8",
    content: include_str!("style.css"),
};

/// The script of all pages, which they work without.
pub(super) const SCRIPT: Asset = Asset {
    stem: "script",
    extension: "js",
    content_type: "text/javascript; charset=utf-8",
    content: include_str!("script.js"),
};

/// The icon: a wire that ends in a signal.
pub(super) const ICON: Asset =
    Asset { stem: "icon", extension: "svg", content_type: ICON_TYPE, content: ICON_SVG };

pub(in crate::web) const ICON_SVG: &str = include_str!("icon.svg");

pub(in crate::web) const ICON_TYPE: &str = "image/svg+xml";

/// Each file by its name.
static FILES: LazyLock<[(String, Asset); 3]> =
    LazyLock::new(|| [STYLESHEET, SCRIPT, ICON].map(|asset| (asset.name(), asset)));

impl Asset {
    /// Returns the file name, with a hash of the content.
    fn name(&self) -> String {
        let hash = Sha256::digest(self.content);
        let hash: String = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}.{hash}.{}", self.stem, self.extension)
    }

    /// Returns the URL relative to the home page.
    pub(super) fn path(&self) -> String {
        let file = FILES.iter().find(|(_, asset)| asset.stem == self.stem);
        let name = file.map_or_else(String::new, |(name, _)| name.clone());
        format!("{}{name}", ASSETS_PREFIX.trim_start_matches('/'))
    }
}

/// The stylesheet with which browsers show a feed.
const FEED_STYLESHEET: &str = include_str!("feed.css");

/// The routes of the files.
pub(in crate::web) fn routes() -> Router<Arc<AppState>> {
    let routes = Router::new().route("/-/assets/{file}", get(answer));
    FEED_STYLESHEET_PATHS.into_iter().fold(routes, |routes, path| routes.route(path, get(feed_stylesheet)))
}

async fn feed_stylesheet() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, STYLESHEET.content_type), (CACHE_CONTROL, "public, max-age=86400")];
    (headers, FEED_STYLESHEET)
}

async fn answer(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some((_, asset)) = FILES.iter().find(|(file, _)| *file == name) else {
        return Error::NotFound.into_response();
    };
    let encoding = Encoding::accepted(&headers);
    let body = match encoding.encode(asset.content.into()) {
        Ok(body) => body,
        Err(err) => return Error::not_compressed(&err).into_response(),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.extend(encoding.name().map(|name| (CONTENT_ENCODING, HeaderValue::from_static(name))));
    response
}
