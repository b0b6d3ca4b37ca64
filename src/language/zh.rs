//! Simplified Chinese.

use super::words::{CountedNoun, FeedWords, PageWords, Words};

pub(super) const WORDS: Words = Words { feed: FEED, page: PAGE };

const FEED: FeedWords = FeedWords { photo: "图片" };

const PAGE: PageWords =
    PageWords { posts: CountedNoun { one: "{} 条消息", few: "{} 条消息", many: "{} 条消息" } };
