//! Errors as problems that the pages explain, with the values that their words quote.

use super::{Error, most_useful};
use crate::channels::RefreshError;
use crate::feed::compat::CompatError;
use crate::feed::opml::OpmlError;
use crate::feed::options::OptionsError;
use crate::language::Problem;
use crate::media::error::{MediaError, ResolveError};
use crate::telegram::error::{PageError, UpstreamErrorKind};
use crate::telegram::typed::ChannelParseError;

impl Error {
    /// Returns the problem, and the values for the `{}` of its words.
    pub(super) fn problem(&self) -> (Problem, Vec<String>) {
        let problem = match self {
            Self::ChannelName(err)
            | Self::SearchAmongSeveral(err, _)
            | Self::Compat(CompatError::Channel(err)) => return of_typed(err),
            Self::NoneOfSeveral(errors) => {
                return most_useful(errors).map_or((Problem::Internal, Vec::new()), Self::problem);
            }
            Self::Options(err) => return of_options(err),
            Self::UnknownFeed(format, _) | Self::Compat(CompatError::Format(format)) => {
                return (Problem::UnknownFormat, vec![format.clone()]);
            }
            Self::Compat(CompatError::OtherBridge(name)) => {
                return (Problem::OtherService, vec![name.clone()]);
            }
            Self::StatusQuery(name, _) => return (Problem::OptionValue, vec![(*name).to_owned()]),
            Self::ChannelNotServed(name) => return (Problem::ChannelNotServed, vec![name.to_string()]),
            Self::TooManyChannels(n) | Self::LongList(n) => {
                return (Problem::TooManyChannels, vec![n.to_string()]);
            }
            Self::UnknownBundle(name) => return (Problem::UnknownBundle, vec![name.clone()]),
            Self::Host
            | Self::HeadTooLarge(_)
            | Self::Method(_)
            | Self::PathEncoding
            | Self::RepeatedChannel => Problem::BadRequest,
            Self::Opml(OpmlError::NotOpml) => Problem::NotOpml,
            Self::Opml(OpmlError::TooLarge) => Problem::OpmlTooLarge,
            Self::Opml(_) => Problem::OpmlDamaged,
            Self::Form(_) => Problem::NoFile,
            Self::MovedFrom(_) => Problem::UnknownBridge,
            Self::NoChannels(_) => Problem::NoChannels,
            Self::MediaNotAllowed => Problem::MediaNotAllowed,
            Self::NotFound | Self::Compat(CompatError::Path(_)) => Problem::NoPage,
            Self::PostNotArchived(_) => Problem::NotStored,
            Self::NoOlderPosts => Problem::NoOlderPosts,
            Self::NotForSeveral(_) => Problem::NotForSeveral,
            Self::Channel(failure) => of_refresh(&failure.error),
            Self::MissingToken => Problem::TokenMissing,
            Self::InvalidToken => Problem::TokenInvalid,
            Self::NotAdmin => Problem::ForOperator,
            Self::RateLimited(_) => Problem::TooManyRequests,
            Self::TooManyNewChannels(_) => Problem::TooManyNewChannels,
            Self::Signature => Problem::MediaLink,
            Self::Media(err) => of_media(err),
            Self::Overloaded => Problem::Busy,
            Self::TimedOut => Problem::TimedOut,
            Self::Internal => Problem::Internal,
        };
        (problem, Vec::new())
    }

    /// Returns the text for the channel field, if it differs from the request.
    pub(super) fn suggestion(&self) -> Option<String> {
        match self {
            Self::UnknownFeed(_, name) | Self::ChannelName(ChannelParseError::Search { name, .. }) => {
                Some(name.to_string())
            }
            Self::SearchAmongSeveral(_, list) => Some(list.clone()),
            Self::Compat(CompatError::Channel(err)) => Some(match err {
                ChannelParseError::Search { name, .. } => name.to_string(),
                ChannelParseError::NotAChannel(typed)
                | ChannelParseError::Private(typed)
                | ChannelParseError::Number(typed) => typed.clone(),
            }),
            _ => None,
        }
    }
}

fn of_typed(err: &ChannelParseError) -> (Problem, Vec<String>) {
    match err {
        ChannelParseError::NotAChannel(typed) => (Problem::NotAChannel, vec![typed.clone()]),
        ChannelParseError::Private(_) => (Problem::PrivateChat, Vec::new()),
        ChannelParseError::Number(typed) => (Problem::ChatNumber, vec![typed.clone()]),
        ChannelParseError::Search { typed, .. } => (Problem::SearchLink, vec![typed.clone()]),
    }
}

fn of_options(err: &OptionsError) -> (Problem, Vec<String>) {
    match err {
        OptionsError::Misspelled { typed, meant } => {
            (Problem::MisspelledOption, vec![typed.clone(), (*meant).to_owned()])
        }
        OptionsError::Value { name, .. } => (Problem::OptionValue, vec![(*name).to_owned()]),
        OptionsError::Regex { expression, .. } => (Problem::Pattern, vec![expression.clone()]),
    }
}

/// Returns why a channel cannot be read.
pub(in crate::web) fn of_refresh(error: &RefreshError) -> Problem {
    match error {
        RefreshError::Page(err) => of_page(err),
        RefreshError::Upstream(err) => match err.kind {
            UpstreamErrorKind::Refused { .. } | UpstreamErrorKind::CircuitOpen { refused: true, .. } => {
                Problem::TelegramLimits
            }
            UpstreamErrorKind::Busy => Problem::Busy,
            UpstreamErrorKind::TooLarge { .. } | UpstreamErrorKind::Broken(_) => Problem::TelegramUnreadable,
            UpstreamErrorKind::Unreachable(_)
            | UpstreamErrorKind::TimedOut
            | UpstreamErrorKind::CircuitOpen { .. }
            | UpstreamErrorKind::Status(_) => Problem::TelegramDown,
        },
        RefreshError::OlderUnavailable => Problem::OlderUnavailable,
        RefreshError::Internal => Problem::Internal,
    }
}

fn of_page(err: &PageError) -> Problem {
    match err {
        PageError::NotFound | PageError::InvalidName | PageError::SinglePost | PageError::PostNotFound => {
            Problem::NoChannel
        }
        PageError::User => Problem::Person,
        PageError::Bot => Problem::Bot,
        PageError::Group => Problem::Group,
        PageError::Invite => Problem::PrivateChat,
        PageError::PreviewOff => Problem::PreviewOff,
        PageError::Blocked(_) => Problem::Blocked,
        PageError::Empty => Problem::EmptyChannel,
        PageError::RateLimited => Problem::TelegramLimits,
        PageError::Redirected(_)
        | PageError::Truncated
        | PageError::OtherChannel(_)
        | PageError::Unreadable(_)
        | PageError::DomLimitExceeded
        | PageError::NotTelegram => Problem::TelegramUnreadable,
    }
}

fn of_media(err: &MediaError) -> Problem {
    match err {
        MediaError::Unresolved(ResolveError::Page(error)) => of_refresh(error),
        MediaError::Unresolved(ResolveError::Gone) | MediaError::Expired(_) => Problem::MediaGone,
        MediaError::Unresolved(ResolveError::Busy) | MediaError::Busy => Problem::Busy,
        MediaError::Unreachable(_) | MediaError::Refused(_) | MediaError::Broken(_) => {
            Problem::MediaUnavailable
        }
        MediaError::HostNotAllowed
        | MediaError::RangeNotSatisfiable(_)
        | MediaError::TooLarge
        | MediaError::BadType => Problem::MediaNotSent,
    }
}
