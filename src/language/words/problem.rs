//! The problems that error pages explain, and their words.

/// The reason for an error page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The typed text is neither a name nor a link. Quotes it.
    NotAChannel,
    /// The link leads to a private chat.
    PrivateChat,
    /// The typed text is the number of a chat. Quotes it.
    ChatNumber,
    /// The typed text is a search in a channel. Quotes it.
    SearchLink,
    /// The URL is another service's, and not of Telegram. Quotes the service.
    OtherService,
    /// There is no such page.
    NoPage,
    /// The URL ends with an unknown format. Quotes it.
    UnknownFormat,
    /// The request itself is invalid.
    BadRequest,
    /// The uploaded file is not OPML.
    NotOpml,
    /// The uploaded OPML file is damaged.
    OpmlDamaged,
    /// The uploaded OPML file is too large.
    OpmlTooLarge,
    /// The form came without its file.
    NoFile,
    /// The form names an unknown bridge.
    UnknownBridge,
    /// A list of subscriptions without channels.
    NoChannels,
    /// An option is misspelled. Quotes it, and the one that may be meant.
    MisspelledOption,
    /// An option has an invalid value. Quotes the option.
    OptionValue,
    /// A regular expression is invalid. Quotes it.
    Pattern,
    /// The operator does not allow this value of `media`.
    MediaNotAllowed,
    /// An option is for feeds of one channel.
    NotForSeveral,
    /// Too many channels for one feed. Quotes their number.
    TooManyChannels,
    /// There is no such bundle. Quotes its name.
    UnknownBundle,
    /// There are no posts older than these.
    NoOlderPosts,
    /// The archive does not have the post.
    NotStored,
    /// Telegram has no public channel with this name.
    NoChannel,
    /// The name belongs to a person.
    Person,
    /// The name belongs to a bot.
    Bot,
    /// The name belongs to a group.
    Group,
    /// Telegram does not show the channel's posts on the web.
    PreviewOff,
    /// Telegram has blocked the channel.
    Blocked,
    /// The channel has no posts.
    EmptyChannel,
    /// Telegram refuses requests, because there are too many.
    TelegramLimits,
    /// Telegram cannot be reached or fails.
    TelegramDown,
    /// Telegram's answer is not the channel's page.
    TelegramUnreadable,
    /// Too many requests are waiting or in flight.
    Busy,
    /// The request took too long.
    TimedOut,
    /// Older posts cannot be read now.
    OlderUnavailable,
    /// A bug in telewire.
    Internal,
    /// The request has no token.
    TokenMissing,
    /// The request has a wrong token.
    TokenInvalid,
    /// The request needs an administrator's token.
    ForOperator,
    /// The client has sent too many requests.
    TooManyRequests,
    /// Too many channels were asked for that had not been read before.
    TooManyNewChannels,
    /// The operator does not allow the channel.
    ChannelNotServed,
    /// The URL of a media file has no valid signature.
    MediaLink,
    /// Telegram no longer has the media file.
    MediaGone,
    /// The media file cannot be fetched now.
    MediaUnavailable,
    /// The media file is not one that is sent.
    MediaNotSent,
}

impl Problem {
    /// Every problem, in the order of their declaration.
    pub const ALL: [Self; Self::MediaNotSent as usize + 1] = [
        Self::NotAChannel,
        Self::PrivateChat,
        Self::ChatNumber,
        Self::SearchLink,
        Self::OtherService,
        Self::NoPage,
        Self::UnknownFormat,
        Self::BadRequest,
        Self::NotOpml,
        Self::OpmlDamaged,
        Self::OpmlTooLarge,
        Self::NoFile,
        Self::UnknownBridge,
        Self::NoChannels,
        Self::MisspelledOption,
        Self::OptionValue,
        Self::Pattern,
        Self::MediaNotAllowed,
        Self::NotForSeveral,
        Self::TooManyChannels,
        Self::UnknownBundle,
        Self::NoOlderPosts,
        Self::NotStored,
        Self::NoChannel,
        Self::Person,
        Self::Bot,
        Self::Group,
        Self::PreviewOff,
        Self::Blocked,
        Self::EmptyChannel,
        Self::TelegramLimits,
        Self::TelegramDown,
        Self::TelegramUnreadable,
        Self::Busy,
        Self::TimedOut,
        Self::OlderUnavailable,
        Self::Internal,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::ForOperator,
        Self::TooManyRequests,
        Self::TooManyNewChannels,
        Self::ChannelNotServed,
        Self::MediaLink,
        Self::MediaGone,
        Self::MediaUnavailable,
        Self::MediaNotSent,
    ];
}

/// The words for a problem.
#[derive(Clone, Copy, Debug)]
pub struct ProblemWords {
    problem: Problem,
    /// The problem in a few words.
    pub title: &'static str,
    /// The explanation, in whole sentences. Quoted values replace `{}`.
    pub why: &'static str,
    /// The steps that may solve it.
    pub advice: &'static [&'static str],
}

impl ProblemWords {
    pub(in crate::language) const fn new(
        problem: Problem,
        title: &'static str,
        why: &'static str,
        advice: &'static [&'static str],
    ) -> Self {
        Self { problem, title, why, advice }
    }
}

/// The words for every problem, in the order of [`Problem::ALL`].
#[derive(Debug)]
pub struct Problems(&'static [ProblemWords; Problem::ALL.len()]);

impl Problems {
    /// Takes the words. One that is missing or at another place does not compile.
    pub(in crate::language) const fn new(words: &'static [ProblemWords; Problem::ALL.len()]) -> Self {
        let mut n = 0;
        while n < words.len() {
            assert!(words[n].problem as usize == n && Problem::ALL[n] as usize == n);
            n += 1;
        }
        Self(words)
    }

    /// Returns the words for a problem.
    #[must_use]
    pub const fn get(&self, problem: Problem) -> &'static ProblemWords {
        &self.0[problem as usize]
    }
}
