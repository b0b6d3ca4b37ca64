//! The kinds of URLs, as metrics label them.

use super::access::BUNDLE_PATH;
use crate::feed::Format;
use crate::media::signed_url;
use crate::metrics;

/// The kind of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Home,
    Channel,
    Feed,
    Media,
    /// Health checks and metrics.
    Service,
}

impl Route {
    /// Returns the kind of a path.
    pub(super) fn of(path: &str) -> Self {
        if path == "/" {
            Self::Home
        } else if path.starts_with(signed_url::PATH_PREFIX) {
            Self::Media
        } else if path.starts_with("/-/") && !path.starts_with(BUNDLE_PATH) {
            Self::Service
        } else if path.rsplit_once('/').is_some_and(|(_, name)| Format::from_name(name).is_some()) {
            Self::Feed
        } else {
            Self::Channel
        }
    }

    /// Returns the label in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Channel => "channel",
            Self::Feed => metrics::FEED_ROUTE,
            Self::Media => "media",
            Self::Service => "service",
        }
    }
}
