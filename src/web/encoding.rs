//! Content encodings of a feed: identity, gzip, Brotli.

use std::io::{self, Write};

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Nearly as small as with the highest quality, in a third of the time.
const BROTLI_QUALITY: i32 = 5;

/// The window size as a power of two: a whole feed. The default (4 MiB) takes as much memory.
const BROTLI_WINDOW: i32 = 18;

/// The encoding of a response body. The best one is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Brotli,
}

impl Encoding {
    /// Returns the best encoding that a client accepts. An encoding that it does not name is not used (RFC 9110, section
    /// 12.5.3).
    pub(super) fn accepted(request: &HeaderMap) -> Self {
        let lists = request.get_all(ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
        let accepted = lists.flat_map(|list| list.split(',')).filter_map(accepted_name);
        accepted.filter_map(Self::from_name).max().unwrap_or(Self::Identity)
    }

    fn from_name(name: &str) -> Option<Self> {
        let names = [("gzip", Self::Gzip), ("x-gzip", Self::Gzip), ("br", Self::Brotli)];
        names.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, encoding)| encoding)
    }

    /// Returns the value of `Content-Encoding`; `None` for identity.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
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
            Self::Brotli => {
                let mut brotli = Vec::new();
                let params = BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: BROTLI_WINDOW,
                    size_hint: body.len(),
                    ..BrotliEncoderParams::default()
                };
                brotli::BrotliCompress(&mut &*body, &mut brotli, &params)?;
                Ok(exact(brotli))
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
            ("br,gzip", Encoding::Brotli),
            ("gzip, deflate, br;q=0", Encoding::Gzip),
            ("gzip;q=0.000", Encoding::Identity),
            ("GZIP;Q=0.5", Encoding::Gzip),
            ("br; q = 1.0 , gzip", Encoding::Brotli),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(asked))]);
            assert_eq!(Encoding::accepted(&headers), encoding, "{asked}");
        }
        assert_eq!(Encoding::accepted(&HeaderMap::new()), Encoding::Identity);
    }
}
