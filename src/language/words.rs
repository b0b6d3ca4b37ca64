//! The words that every language has. `{}` stands for what is filled in.

mod problem;
mod status;

pub use problem::{Problem, ProblemWords, Problems};
pub use status::StatusWords;

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
    pub video: &'static str,
    pub gif: &'static str,
    pub video_message: &'static str,
    pub voice_message: &'static str,
    pub sticker: &'static str,
    pub animated_sticker: &'static str,
    pub location: &'static str,
    pub contact: &'static str,
    pub game: &'static str,
    pub invoice: &'static str,
    pub music: &'static str,
    pub file: &'static str,
    pub poll: &'static str,
    pub quiz: &'static str,
    pub anonymous_poll: &'static str,
    pub public_vote: &'static str,
    pub anonymous_quiz: &'static str,
    pub final_results: &'static str,
    pub album: CountedNoun,
    pub picture: &'static str,
    pub map: &'static str,
    pub player: &'static str,
    pub spoiler: &'static str,
    pub post: &'static str,
    pub post_only_in_telegram: &'static str,
    pub only_in_telegram: &'static str,
    pub see_post: &'static str,
    pub see_part: &'static str,
    pub open_in_telegram: &'static str,
    pub too_big: &'static str,
    pub watch_in_telegram: &'static str,
    pub forwarded_from: &'static str,
    pub reply_to: &'static str,
    pub in_reply_to: &'static str,
    pub in_reply_to_post: &'static str,
    pub via: &'static str,
    pub on_telegram: &'static str,
    /// `{date}` and `{name}` stand for what is filled in.
    pub taken_over: &'static str,
    pub nothing_found: &'static str,
    pub digest_to_come: &'static str,
    pub no_older_posts: &'static str,
    /// `{names}` and `{n}` stand for what is filled in.
    pub and_more: &'static str,
    pub still_to_come: &'static str,
    pub cannot_be_read: &'static str,
    pub posts: CountedNoun,
    pub views: CountedNoun,
    pub voters: CountedNoun,
    /// `{day}`, `{month}` and `{year}` stand for what is filled in.
    pub date: &'static str,
    /// `{week}` and `{year}` stand for what is filled in.
    pub week: &'static str,
    /// In the form that `date` has.
    pub months: [&'static str; 12],
    /// From Monday on.
    pub weekdays: [&'static str; 7],
    /// Between a label and what it labels.
    pub colon: &'static str,
    /// Between parts of a label.
    pub comma: &'static str,
    /// Between sentences.
    pub full_stop: &'static str,
}

/// The words on pages.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is named after its English words")]
pub struct PageWords {
    pub skip_to_content: &'static str,
    pub language: &'static str,
    pub source_code: &'static str,
    pub channel_label: &'static str,
    pub channel_placeholder: &'static str,
    pub open_channel: &'static str,
    pub tagline: &'static str,
    pub introduction: &'static str,
    pub example: &'static str,
    pub newest_channels: &'static str,
    pub all_channels: &'static str,
    pub with_token: &'static str,
    pub moving_in: &'static str,
    pub moving_in_text: &'static str,
    pub opml_file: &'static str,
    pub moved_from: &'static str,
    pub convert: &'static str,
    pub bookmarklet: &'static str,
    pub bookmarklet_text: &'static str,
    pub bookmarklet_name: &'static str,
    pub status_page: StatusWords,
    pub status: &'static str,
    pub problems: Problems,
    pub technical_detail: &'static str,
    pub none_of_several: &'static str,
    pub wait_seconds: CountedNoun,
    pub wait_minutes: CountedNoun,
    pub subscribers: CountedNoun,
    pub photos: CountedNoun,
    pub videos: CountedNoun,
    pub files: CountedNoun,
    pub links: CountedNoun,
    pub verified: &'static str,
    pub open_in_telegram: &'static str,
    pub search: &'static str,
    pub search_several: &'static str,
    pub search_button: &'static str,
    pub no_posts: &'static str,
    pub passing: &'static str,
    pub show_all: &'static str,
    pub older: &'static str,
    pub newest: &'static str,
    pub edited: &'static str,
    pub gone: &'static str,
    pub versions: &'static str,
    pub until: &'static str,
    pub newer_post: &'static str,
    pub older_post: &'static str,
    pub feed: &'static str,
    pub feed_help: &'static str,
    pub copy: &'static str,
    pub copied: &'static str,
    pub format: &'static str,
    pub subscribe_with: &'static str,
    pub feed_reader: &'static str,
    pub own_host: &'static str,
    pub own_host_help: &'static str,
    pub options: &'static str,
    pub filters: &'static str,
    pub appearance: &'static str,
    pub apply: &'static str,
    pub reset: &'static str,
    /// The labels of feed options, by their names.
    pub option_labels: &'static [(&'static str, &'static str)],
    /// The labels of the values of options: by the option and the value, as in `case=sensitive`, or by the value alone.
    pub value_labels: &'static [(&'static str, &'static str)],
}

impl PageWords {
    /// Returns the label of a feed option; its name if it has none.
    #[must_use]
    pub fn option<'a>(&self, name: &'a str) -> &'a str {
        find(self.option_labels, name).unwrap_or(name)
    }

    /// Returns the label of a value of a feed option; the value itself if it has none.
    #[must_use]
    pub fn value<'a>(&self, option: &str, value: &'a str) -> &'a str {
        find(self.value_labels, &format!("{option}={value}"))
            .or_else(|| find(self.value_labels, value))
            .unwrap_or(value)
    }
}

fn find(labels: &'static [(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    labels.iter().find(|(labelled, _)| *labelled == name).map(|(_, label)| *label)
}
