//! Paths that browsers, crawlers and readers request on every site. They are not names of channels.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};

use super::pages::assets::{ICON_SVG, ICON_TYPE};
use super::state::AppState;

/// First path segments that readers and crawlers try; none of them is a channel.
const PROBES: [&str; 15] = [
    "admin",
    "api",
    "atom",
    "config",
    "feed",
    "feeds",
    "index",
    "json",
    "login",
    "manifest",
    "package",
    "rss",
    "swagger",
    "wp-admin",
    "wp-content",
];

/// File name extensions that no channel has.
const EXTENSIONS: [&str; 13] =
    ["asp", "aspx", "css", "env", "gif", "html", "ico", "jpg", "js", "php", "png", "txt", "xml"];

/// Returns whether a path is a probe. Such paths are answered with 404 without asking Telegram.
pub(super) fn is_probe(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    path.starts_with('.') && !path.starts_with("..")
        || PROBES.contains(&path)
        || EXTENSIONS.contains(&extension)
        || { !extension.is_empty() && PROBES.contains(&stem) }
}

/// The routes of the icon and of `robots.txt`.
pub(super) fn routes() -> Router<Arc<AppState>> {
    let icon = static_file(ICON_TYPE, ICON_SVG);
    let robots = get(async |State(state): State<Arc<AppState>>| {
        static_answer("text/plain; charset=utf-8", state.config.robots.txt())
    });
    Router::new().route("/favicon.ico", icon.clone()).route("/favicon.svg", icon).route("/robots.txt", robots)
}

fn static_answer(content_type: &'static str, body: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "public, max-age=86400")], body)
}

fn static_file(content_type: &'static str, body: &'static str) -> MethodRouter<Arc<AppState>> {
    get(async move || static_answer(content_type, body))
}

#[cfg(test)]
mod tests {
    use super::is_probe;

    #[test]
    fn probes_are_told_from_channels() {
        for probe in [
            "feed",
            "rss",
            "atom.xml",
            "feed.xml",
            "feed.json",
            "manifest.json",
            ".well-known/assetlinks.json",
            "index.html",
            "sitemap.xml",
            "apple-touch-icon.png",
            ".well-known/security.txt",
            "wp-login.php",
            "assets/app.js",
            ".env",
        ] {
            assert!(is_probe(probe), "{probe}");
        }
        for channel in [
            "durov",
            "feedback",
            "t.me/durov",
            "t.me/s/durov",
            "durov.t.me",
            "telegram.me/durov",
            "feed/rss",
            "durov.json",
        ] {
            assert!(!is_probe(channel), "{channel}");
        }
    }
}
