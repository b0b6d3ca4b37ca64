//! Content encodings of a feed: identity, or gzip, which all readers accept.

use std::io::{self, Write};

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The encoding of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// Returns the best encoding that a client accepts. An encoding that it does not name is not used (RFC 9110, section
    /// 12.5.3).
    pub(super) fn accepted(request: &HeaderMap) -> Self {
        let lists = request.get_all(ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
        let mut accepted = lists.flat_map(|list| list.split(',')).filter_map(accepted_name);
        let is_gzip = |name: &str| ["gzip", "x-gzip"].iter().any(|gzip| gzip.eq_ignore_ascii_case(name));
        if accepted.any(is_gzip) { Self::Gzip } else { Self::Identity }
    }

    /// Returns the value of `Content-Encoding`; `None` for identity.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
        }
    }

    /// Encodes a body.
    pub(super) fn encode(self, body: Vec<u8>) -> io::Result<Bytes> {
        match self {
            Self::Identity => Ok(exact(body)),
            Self::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
                gzip.write_all(&body)?;
                Ok(exact(gzip.finish()?))
            }
        }
    }
}

/// Returns the name in an element of `Accept-Encoding`, unless its weight is zero.
fn accepted_name(element: &str) -> Option<&str> {
    let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
    let weight =
        parameters.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.trim_start().strip_prefix('='));
    let refused = weight.is_some_and(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0));
    (!refused).then(|| name.trim())
}

/// Converts a vector without its spare capacity.
fn exact(bytes: Vec<u8>) -> Bytes {
    bytes.into_boxed_slice().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_accepted_encodings_are_used() {
        for (asked, encoding) in [
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("zstd", Encoding::Identity),
            ("*", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("br", Encoding::Identity),
            ("gzip, deflate, br;q=0", Encoding::Gzip),
            ("gzip;q=0.000", Encoding::Identity),
            ("GZIP;Q=0.5", Encoding::Gzip),
            ("br , gzip; q = 1.0", Encoding::Gzip),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(asked))]);
            assert_eq!(Encoding::accepted(&headers), encoding, "{asked}");
        }
        assert_eq!(Encoding::accepted(&HeaderMap::new()), Encoding::Identity);
    }
}
