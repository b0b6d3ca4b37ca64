//! The only code that knows t.me: fetches a channel's pages and parses them.
//!
//! [`client`] fetches a page from an upstream; everything else is pure. [`page`] finds the channel and the messages,
//! each message becomes a post part by part, and `no_posts` says what a page without messages means.

pub mod client;
mod dom;
pub mod error;
mod markup;
mod media;
mod no_posts;
pub mod page;
mod post;
pub mod post_page;
mod text;
pub mod upstream;
pub mod url;

pub use post::PostError;
