//! Pictures, videos and voice messages under permanent URLs of the service.
//!
//! A [signed URL](signed_url) names the post, not Telegram's file. The [resolver] looks up the file's current URL in
//! the archive or on the post's preview page, and the [client] streams it from there.
//!
//! The kinds of media of a post are in [`model::post::Media`](crate::model::post::Media).

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
    /// Permanent URLs, under which telewire streams the files from Telegram.
    Proxy,
    /// Permanent URLs, which redirect to Telegram.
    Redirect,
    /// Telegram's own URLs, which expire after hours or days.
    Direct,
}
