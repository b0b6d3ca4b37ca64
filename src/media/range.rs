//! Byte ranges of a file (RFC 9110, section 14).

use std::fmt;

use headers::{ContentRange, Header, HeaderValue};

/// A requested part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// From the first byte to the last, or to the end of the file.
    From(u64, Option<u64>),
    /// The last N bytes of the file.
    Last(u64),
}

impl Range {
    /// Parses a `Range` header. Returns `None` if it is invalid, has several ranges or a unit other than bytes; the
    /// whole file may be sent then (section 14.2).
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

/// Parses a number of ASCII digits, without a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The part of a file that a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The offset of the first byte.
    pub first: u64,
    /// The offset of the last byte.
    pub last: u64,
    /// The length of the whole file in bytes.
    pub total: u64,
}

impl Part {
    /// Parses a `Content-Range` header. Returns `None` if it is inconsistent or lacks the file's length.
    pub(super) fn parse(header: &HeaderValue) -> Option<Self> {
        let range = ContentRange::decode(&mut std::iter::once(header)).ok()?;
        let (first, last) = range.bytes_range()?;
        let total = range.bytes_len()?;
        (first <= last && last < total).then_some(Self { first, last, total })
    }

    /// Returns the length of this part in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Returns the `Content-Range` header of this part.
    #[must_use]
    pub fn header(&self) -> Option<ContentRange> {
        ContentRange::bytes(self.first..=self.last, Some(self.total)).ok()
    }

    /// Returns whether this part answers a request for `requested`. A server may send fewer bytes than requested.
    pub(super) fn answers(&self, requested: Range) -> bool {
        match requested {
            Range::From(first, last) => self.first == first && last.is_none_or(|last| self.last <= last),
            Range::Last(n) => self.last + 1 == self.total && self.length() == n.min(self.total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_byte_ranges_are_parsed() {
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
    fn parts_outside_the_requested_range_are_detected() {
        let part = |header| Part::parse(&HeaderValue::from_static(header));
        let sent = |header| part(header).unwrap();
        assert!(sent("bytes 0-499/1234").answers(Range::From(0, Some(499))));
        assert!(sent("bytes 500-1233/1234").answers(Range::From(500, None)));
        assert!(sent("bytes 1230-1233/1234").answers(Range::Last(4)));
        assert!(sent("bytes 0-3/4").answers(Range::Last(500)));
        assert!(!sent("bytes 1-499/1234").answers(Range::From(0, Some(499))));
        assert!(!sent("bytes 0-500/1234").answers(Range::From(0, Some(499))));
        for inconsistent in ["bytes 5-4/10", "bytes 0-10/10", "bytes 0-1/*", "bytes */10", "0-1/10"] {
            assert_eq!(part(inconsistent), None, "{inconsistent}");
        }
    }
}
