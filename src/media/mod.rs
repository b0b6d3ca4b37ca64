//! Pictures, videos and voice messages under permanent URLs of the service.
//!
//! A [signed URL](signed_url) names the post, not Telegram's file. The [resolver] looks up the file's current URL in the
//! archive or on the post's page, and the [client] streams it from there.

pub mod client;
pub mod error;
pub mod hosts;
pub mod keys;
pub mod range;
pub mod resolver;
pub mod signed_url;
mod sniff;

/// How readers get pictures and videos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaMode {
    /// telewire streams them from Telegram under permanent URLs.
    Proxy,
    /// Permanent URLs of telewire redirect to Telegram.
    Redirect,
    /// Feeds contain Telegram's own URLs, which expire after hours or days.
    Direct,
}
