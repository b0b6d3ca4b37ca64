//! The data model: channels, posts, rich text, media files and the pages of a feed. Plain data, no I/O.

pub mod channel;
pub mod media_file;
pub mod paging;
pub mod post;
pub mod rich_text;
