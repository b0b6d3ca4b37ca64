//! The only code that knows what t.me looks like: asking for a channel's preview page, and reading it.
//!
//! [`client`] makes the one polite request; everything else is pure. A page is read in three steps: [`page`] finds
//! the channel and the messages, each message becomes a post part by part, and a page without messages is put
//! into words by [`landing`].

pub mod address;
mod breaker;
pub mod client;
mod dom;
mod host;
pub mod landing;
mod media;
pub mod page;
mod post;
mod selectors;
pub mod single;
mod text;
pub mod upstream;

pub use post::PostError;
