//! The words that every language has. `{}` stands for what is filled in.

/// The words of a language.
#[derive(Debug)]
pub struct Words {
    /// The words in feeds.
    pub feed: FeedWords,
    /// The words on pages.
    pub page: PageWords,
}

/// A noun after a number, which stands for `{}`.
#[derive(Debug)]
pub struct CountedNoun {
    /// The form after one, and after 21 in Russian.
    pub one: &'static str,
    /// The form after two to four in Russian; unused elsewhere.
    pub few: &'static str,
    /// The form after every other number.
    pub many: &'static str,
}

/// The words in feeds: the labels of a post's parts.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is named after its English words")]
pub struct FeedWords {
    pub photo: &'static str,
}

/// The words on pages.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is named after its English words")]
pub struct PageWords {
    pub posts: CountedNoun,
}
