//! Parts of a file (RFC 9110, section 14).

use std::fmt;

/// The part of a file that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// From the first of these bytes to the last, or to the end.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

impl Range {
    /// The one range of a `Range` header. `None` when there is none, or several, or it is not in bytes: then the whole
    /// file is sent, as section 14.2 allows.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.trim().strip_prefix("bytes=")?.trim().split_once('-')?;
        match (first, last) {
            ("", last) => number(last).map(Self::Last),
            (first, "") => number(first).map(|first| Self::From(first, None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, Some(last)))
            }
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(first, None) => write!(f, "bytes={first}-"),
            Self::From(first, Some(last)) => write!(f, "bytes={first}-{last}"),
            Self::Last(n) => write!(f, "bytes=-{n}"),
        }
    }
}

/// What a server sends of a file, by its `Content-Range` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
    /// Bytes of the whole file.
    pub total: u64,
}

impl ContentRange {
    /// `None` for one that makes no sense, or does not tell how long the file is.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let range = Self { first: number(first)?, last: number(last)?, total: number(total)? };
        (range.first <= range.last && range.last < range.total).then_some(range)
    }

    /// Its bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether this is what was asked for; a server may send less of it.
    pub(super) fn answers(&self, asked: Range) -> bool {
        match asked {
            Range::From(first, last) => self.first == first && last.is_none_or(|last| self.last <= last),
            Range::Last(n) => self.last + 1 == self.total && self.length() == n.min(self.total),
        }
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/{}", self.first, self.last, self.total)
    }
}

/// A number, if it is nothing but digits.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_as_rfc_9110_writes_it() {
        for (header, range) in [
            ("bytes=0-499", Some(Range::From(0, Some(499)))),
            ("bytes=500-", Some(Range::From(500, None))),
            ("bytes=-500", Some(Range::Last(500))),
            ("bytes=9-5", None),
            ("bytes=-", None),
            ("bytes=0-1,5-6", None),
            ("bytes=a-", None),
            ("bytes=+1-2", None),
            ("bytes=99999999999999999999-", None),
            ("items=0-1", None),
            ("", None),
        ] {
            assert_eq!(Range::parse(header), range, "{header}");
        }
    }

    #[test]
    fn an_answer_to_another_question_is_noticed() {
        let sent = |header| ContentRange::parse(header).unwrap();
        assert!(sent("bytes 0-499/1234").answers(Range::From(0, Some(499))));
        assert!(sent("bytes 500-1233/1234").answers(Range::From(500, None)));
        assert!(sent("bytes 1230-1233/1234").answers(Range::Last(4)));
        assert!(sent("bytes 0-3/4").answers(Range::Last(500)));
        assert!(!sent("bytes 1-499/1234").answers(Range::From(0, Some(499))));
        assert!(!sent("bytes 0-500/1234").answers(Range::From(0, Some(499))));
        for nonsense in ["bytes 5-4/10", "bytes 0-10/10", "bytes 0-1/*", "bytes */10", "0-1/10"] {
            assert_eq!(ContentRange::parse(nonsense), None, "{nonsense}");
        }
    }
}
