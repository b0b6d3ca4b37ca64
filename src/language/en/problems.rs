//! The English words for problems.

use crate::language::words::{Problem, ProblemWords, Problems};

const CHECK_SPELLING: &str = "Check the spelling of the name.";
const OPEN_IN_TELEGRAM: &str = "Open the post in Telegram.";
const READER_RETRIES: &str = "Your feed reader tries again automatically. No post is lost.";
const TELL_OPERATOR: &str = "If it lasts, tell the operator of this server.";

pub(super) const PROBLEMS: Problems = Problems::new(&[
    ProblemWords::new(
        Problem::NotAChannel,
        "This is not a channel",
        "“{}” is neither the name of a channel nor a link to one.",
        &[
            "Paste the channel's link from Telegram, or type its name.",
            "A name starts with a letter, and has 4 to 32 letters, digits and underscores.",
        ],
    ),
    ProblemWords::new(
        Problem::PrivateChat,
        "A private chat",
        "This link leads to a private channel or group, which has no public page.",
        &["Only its members can read it, in Telegram.", "If the channel also has a public name, type that."],
    ),
    ProblemWords::new(
        Problem::ChatNumber,
        "The number of a chat",
        "“{}” is a number that only Telegram's apps know.",
        &[
            "Use the name of the channel, which its profile in Telegram shows.",
            "A channel without a name is private and has no public page.",
        ],
    ),
    ProblemWords::new(
        Problem::SearchLink,
        "A search, not a channel",
        "“{}” is a search in a channel.",
        &["Open the channel, and search in it there."],
    ),
    ProblemWords::new(
        Problem::OtherService,
        "Not a Telegram channel",
        "This address asks RSS-Bridge for “{}”, but this service reads Telegram channels only.",
        &["Get this feed from a server with RSS-Bridge."],
    ),
    ProblemWords::new(
        Problem::NoPage,
        "Nothing at this address",
        "This server has no page with this address.",
        &["Check the address, or type the name of a channel."],
    ),
    ProblemWords::new(
        Problem::UnknownFormat,
        "Unknown format",
        "“{}” is not a format of feeds on this server.",
        &["End the address with rss, atom or json, as in /durov/rss."],
    ),
    ProblemWords::new(
        Problem::BadRequest,
        "The request cannot be read",
        "The address, or what the browser sent with it, is damaged, too long or not meant for this page.",
        &["Type the name of a channel, or start again on the home page."],
    ),
    ProblemWords::new(
        Problem::NotOpml,
        "This is not an OPML file",
        "The file has no list of subscriptions in OPML.",
        &["Export the subscriptions of your feed reader as OPML, and choose that file."],
    ),
    ProblemWords::new(
        Problem::OpmlDamaged,
        "The OPML file cannot be read",
        "The file is damaged, or has parts that are not accepted here.",
        &["Export the subscriptions of your feed reader again, and choose the new file."],
    ),
    ProblemWords::new(
        Problem::OpmlTooLarge,
        "The OPML file is too large",
        "The file is larger than this server accepts.",
        &["Split your subscriptions into several files."],
    ),
    ProblemWords::new(
        Problem::NoFile,
        "The file did not arrive",
        "The form came without an OPML file, or the connection ended too early.",
        &["Choose the file again, and send it once more."],
    ),
    ProblemWords::new(
        Problem::UnknownBridge,
        "Unknown bridge",
        "The field “Moved from” names a bridge that is not known here.",
        &["Leave the field empty, or write one of the names below."],
    ),
    ProblemWords::new(
        Problem::NoChannels,
        "No channels are named",
        "A list of subscriptions needs the names of its channels.",
        &["Write them in the address, as in /-/opml?channels=durov,telegram."],
    ),
    ProblemWords::new(
        Problem::MisspelledOption,
        "A misspelled option",
        "There is no option “{}”. “{}” may be meant.",
        &["Correct the name of the option in the address."],
    ),
    ProblemWords::new(
        Problem::OptionValue,
        "A wrong value",
        "The option “{}” cannot have the value in the address.",
        &["Correct the value as described below, or remove the option from the address."],
    ),
    ProblemWords::new(
        Problem::Pattern,
        "A mistake in a pattern",
        "“{}” is not a valid regular expression.",
        &["Correct the pattern, or write words without slashes."],
    ),
    ProblemWords::new(
        Problem::MediaNotAllowed,
        "Not allowed on this server",
        "The operator does not allow this way to show photos and videos.",
        &["Remove the option “media” from the address, or choose another value."],
    ),
    ProblemWords::new(
        Problem::NotForSeveral,
        "An option for one channel",
        "An option in the address has a meaning only in the feed of one channel.",
        &["Remove the option that is named below from the address."],
    ),
    ProblemWords::new(
        Problem::TooManyChannels,
        "Too many channels",
        "The address names {} channels, which is too many at once.",
        &["Divide them among several feeds or lists."],
    ),
    ProblemWords::new(
        Problem::UnknownBundle,
        "Unknown bundle",
        "This server has no bundle “{}”.",
        &["Check the name, or ask the operator of this server for the bundles."],
    ),
    ProblemWords::new(
        Problem::NoOlderPosts,
        "No older posts",
        "No older posts of this channel are known.",
        &["Open the channel to see its newest posts."],
    ),
    ProblemWords::new(
        Problem::NotStored,
        "This post is not stored here",
        "The pages of posts come from the archive of this server, which does not have this post.",
        &[OPEN_IN_TELEGRAM],
    ),
    ProblemWords::new(
        Problem::NoChannel,
        "No public channel here",
        "Telegram has no public channel with this name.",
        &[CHECK_SPELLING, "Private channels have no public page and cannot be read here."],
    ),
    ProblemWords::new(
        Problem::Person,
        "The name of a person",
        "This name belongs to a person. Only channels have public posts.",
        &[CHECK_SPELLING, "If this person has a channel, look up its name in Telegram."],
    ),
    ProblemWords::new(
        Problem::Bot,
        "The name of a bot",
        "This name belongs to a bot. Only channels have public posts.",
        &[CHECK_SPELLING, "If the bot has a channel, look up its name in Telegram."],
    ),
    ProblemWords::new(
        Problem::Group,
        "The name of a group",
        "This name belongs to a group. Telegram shows the posts of groups only to people with an account.",
        &["Read the group in Telegram.", "If it is the group of a channel, type the name of the channel."],
    ),
    ProblemWords::new(
        Problem::PreviewOff,
        "The preview is switched off",
        "This channel exists, but Telegram does not show its posts on the web: its owner has switched off the preview, or Telegram has restricted the channel.",
        &["Read the channel in Telegram.", "Its owner can switch the preview on again."],
    ),
    ProblemWords::new(
        Problem::Blocked,
        "Blocked by Telegram",
        "Telegram does not show this channel. Its reason is below.",
        &["This server cannot change that."],
    ),
    ProblemWords::new(
        Problem::EmptyChannel,
        "An empty channel",
        "This channel exists, but has not published anything yet.",
        &["Come back when the channel has its first post."],
    ),
    ProblemWords::new(
        Problem::TelegramLimits,
        "Telegram refuses requests",
        "Telegram has received too many requests from this server, and refuses more of them for a while.",
        &[READER_RETRIES],
    ),
    ProblemWords::new(
        Problem::TelegramDown,
        "Telegram does not answer",
        "This server cannot reach Telegram now, or gets only errors from it.",
        &[READER_RETRIES, TELL_OPERATOR],
    ),
    ProblemWords::new(
        Problem::TelegramUnreadable,
        "The answer cannot be read",
        "Telegram, or something on the way to it, answered with something else than the channel's page.",
        &[READER_RETRIES, TELL_OPERATOR],
    ),
    ProblemWords::new(
        Problem::Busy,
        "This server is busy",
        "Too many requests are waiting already.",
        &[READER_RETRIES],
    ),
    ProblemWords::new(
        Problem::TimedOut,
        "It takes longer",
        "The answer takes longer than a browser should wait. The work goes on in the background.",
        &[READER_RETRIES],
    ),
    ProblemWords::new(
        Problem::OlderUnavailable,
        "Older posts are not here yet",
        "The older posts are not archived here, and Telegram does not give them now.",
        &[READER_RETRIES],
    ),
    ProblemWords::new(
        Problem::Internal,
        "Something went wrong here",
        "This is a fault of this server.",
        &["Load the page again. If it fails again, tell the operator; the log has the cause."],
    ),
    ProblemWords::new(
        Problem::TokenMissing,
        "A token is needed",
        "This server answers only to people who have a token.",
        &["Ask the operator of this server for a token.", "Give it as the password, with any user name."],
    ),
    ProblemWords::new(
        Problem::TokenInvalid,
        "A wrong token",
        "This server does not know this token.",
        &["Check the token for typing mistakes.", "Ask the operator of this server for a new one."],
    ),
    ProblemWords::new(
        Problem::ForOperator,
        "For the operator only",
        "This page needs a token of an administrator.",
        &["If you are the operator, give a token of --admin-token as the password, with any user name."],
    ),
    ProblemWords::new(
        Problem::TooManyRequests,
        "Too many requests",
        "More requests came from your network than this server allows.",
        &[READER_RETRIES],
    ),
    ProblemWords::new(
        Problem::TooManyNewChannels,
        "Too many new channels",
        "Too many channels were opened in a short time that this server had not read before.",
        &["Subscribe to the feed of the channel: feeds have no such limit."],
    ),
    ProblemWords::new(
        Problem::ChannelNotServed,
        "Not allowed on this server",
        "The operator does not allow the channel “{}”.",
        &["Ask the operator of this server, or run your own."],
    ),
    ProblemWords::new(
        Problem::MediaLink,
        "A wrong link to a file",
        "The address of this picture or video has no valid signature of this server.",
        &["Open the post, and follow the link there."],
    ),
    ProblemWords::new(
        Problem::MediaGone,
        "The file is gone",
        "Telegram no longer has this picture or video: the post was deleted or changed.",
        &[OPEN_IN_TELEGRAM],
    ),
    ProblemWords::new(
        Problem::MediaUnavailable,
        "The file cannot be sent now",
        "Telegram's file server does not answer, or answers with errors.",
        &[OPEN_IN_TELEGRAM],
    ),
    ProblemWords::new(
        Problem::MediaNotSent,
        "This file is not sent",
        "The file is too large, or is not a picture, video or audio file of Telegram.",
        &[OPEN_IN_TELEGRAM],
    ),
]);
