//! The web service: URLs, middleware, answers, errors. The only code that knows axum.
//!
//! [`server`] accepts connections, [`middleware`] lists the steps that every request passes, and [`router`] has the URLs.

mod base_url;
mod bundles;
mod caching;
mod canonical;
mod channel_filter;
mod client_permits;
mod compat;
mod connections;
mod context;
mod encoding;
mod error;
mod feed_cache;
mod feeds;
mod health;
mod home_text;
mod lookback;
mod media;
mod middleware;
mod opml;
mod pages;
mod probes;
mod query;
mod robots;
mod router;
mod server;
mod several_channels;
mod state;
mod status;
mod stream_permits;

pub use base_url::BaseUrl;
pub use bundles::{Bundle, BundleChannels, BundleName, BundleOptions, Bundles};
pub(crate) use canonical::path as canonical_path;
pub use channel_filter::{ChannelFilter, ChannelPatterns};
pub use home_text::HomeText;
pub use middleware::access::{AccessConfig, Tokens};
pub use middleware::rate_limit::ClientRate;
pub use robots::Robots;
pub use server::{ACCEPT_BACKLOG, serve, serve_metrics};
pub use state::{AppState, WebConfig};
