//! The only code that knows t.me: fetches a channel's pages and parses them.
//!
//! [`client`] fetches a page from an [`upstream`], which `routes` chooses, and `response` reads the answer; the parsers are
//! pure. [`page`] finds the channel and the messages, `post` parses each message part by part, and `no_posts` classifies pages
//! without messages. [`typed`] parses what people type for a channel. [`telegraph`] parses articles, which `articles` fetches.

mod articles;
mod buttons;
pub mod client;
mod dom;
pub mod error;
mod markup;
mod media;
mod no_posts;
pub mod page;
mod parser;
mod post;
pub mod post_page;
mod response;
mod routes;
pub mod telegraph;
mod text;
pub mod typed;
pub mod upstream;
pub mod url;

pub use post::PostError;
