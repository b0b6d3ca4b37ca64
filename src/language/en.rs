//! English.

use super::words::{CountedNoun, FeedWords, PageWords, Words};

pub(super) const WORDS: Words = Words { feed: FEED, page: PAGE };

const FEED: FeedWords = FeedWords { photo: "Photo" };

const PAGE: PageWords =
    PageWords { posts: CountedNoun { one: "{} post", few: "{} posts", many: "{} posts" } };
