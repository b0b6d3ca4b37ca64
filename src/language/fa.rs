//! Persian.

use super::words::{CountedNoun, FeedWords, PageWords, Words};

pub(super) const WORDS: Words = Words { feed: FEED, page: PAGE };

const FEED: FeedWords = FeedWords { photo: "عکس" };

const PAGE: PageWords =
    PageWords { posts: CountedNoun { one: "{} پست", few: "{} پست", many: "{} پست" } };
