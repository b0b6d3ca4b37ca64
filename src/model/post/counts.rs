//! Views, reactions and votes: the numbers of a post that change without its author.

use serde::{Deserialize, Serialize};

use super::Post;

/// The counts of a post.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// [`Post::views`].
    pub views: Option<u64>,
    /// [`Post::reactions`].
    pub reactions: Vec<Reaction>,
    /// [`PollOption::percent`](super::PollOption::percent) of each option of the poll.
    pub percents: Vec<Option<u8>>,
    /// [`Poll::voters`](super::Poll::voters).
    pub voters: Option<u64>,
}

/// A reaction to a post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The emoji or star.
    pub kind: ReactionKind,
    /// The count, rounded by Telegram.
    pub n: u64,
}

/// The kind of a reaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReactionKind {
    /// A standard emoji.
    Emoji(String),
    /// A custom emoji, with Telegram's id.
    Custom(String),
    /// Paid Telegram Stars.
    Stars,
}

impl Post {
    /// Returns the post without counts of views, reactions and votes, which feeds do not show by default.
    #[must_use]
    pub fn without_counts(mut self) -> Self {
        self.reactions.clear();
        self.views = None;
        if let Some(poll) = &mut self.poll {
            poll.voters = None;
            poll.options.iter_mut().for_each(|option| option.percent = None);
        }
        self
    }

    /// Returns the counts, for [`set_counts`](Self::set_counts).
    #[must_use]
    pub fn counts(&self) -> Counts {
        let poll = self.poll.as_ref();
        let options = poll.iter().flat_map(|poll| &poll.options);
        Counts {
            views: self.views,
            reactions: self.reactions.clone(),
            percents: options.map(|option| option.percent).collect(),
            voters: poll.and_then(|poll| poll.voters),
        }
    }

    /// Sets the counts. Those of the poll are ignored if it now has another number of options.
    pub fn set_counts(&mut self, counts: Counts) {
        self.views = counts.views;
        self.reactions = counts.reactions;
        if let Some(poll) = self.poll.as_mut().filter(|poll| poll.options.len() == counts.percents.len()) {
            poll.voters = counts.voters;
            poll.options
                .iter_mut()
                .zip(counts.percents)
                .for_each(|(option, percent)| option.percent = percent);
        }
    }
}
