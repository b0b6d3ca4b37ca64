//! Russian.

use super::words::{CountedNoun, FeedWords, PageWords, Words};

pub(super) const WORDS: Words = Words { feed: FEED, page: PAGE };

const FEED: FeedWords = FeedWords { photo: "Фото" };

const PAGE: PageWords =
    PageWords { posts: CountedNoun { one: "{} пост", few: "{} поста", many: "{} постов" } };
