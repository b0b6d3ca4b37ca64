//! JSON compressed with Zstandard: the form in which snapshots are cached and posts are archived.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zstd::bulk::Compressor;
use zstd::zstd_safe::get_frame_content_size;

/// As small as with zlib's default level, in a third of the time.
const LEVEL: i32 = 3;

/// The magic number at the start of a Zstandard frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The largest value that is decoded, in bytes of JSON. A snapshot of 200 posts stays far below it.
const MAX_JSON_BYTES: usize = 64 << 20;

/// Encodes a value. The result carries a checksum, so that [`decode`] notices damage.
///
/// # Errors
///
/// If the value cannot be serialized.
pub(crate) fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    // The whole JSON first: compressors are slow with the small writes of a serializer.
    let json = serde_json::to_vec(value)?;
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    compressor.compress(&json)
}

/// Decodes what [`encode`] wrote, and the zlib streams that earlier versions archived.
///
/// # Errors
///
/// If the bytes are damaged, or the JSON has another shape.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let json = if bytes.starts_with(&ZSTD_MAGIC) {
        let n_bytes = get_frame_content_size(bytes).ok().flatten();
        let n_bytes = n_bytes.and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= MAX_JSON_BYTES);
        let too_large =
            || io::Error::new(io::ErrorKind::InvalidData, "the decoded size is unknown or too large");
        zstd::bulk::decompress(bytes, n_bytes.ok_or_else(too_large)?)?
    } else {
        let mut json = Vec::new();
        ZlibDecoder::new(bytes).take(MAX_JSON_BYTES as u64).read_to_end(&mut json)?;
        json
    };
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    #[test]
    fn values_survive_encoding() {
        let value = vec!["text".repeat(1000), String::new(), "Ω".to_owned()];
        assert_eq!(decode::<Vec<String>>(&encode(&value).unwrap()).unwrap(), value);
    }

    #[test]
    fn zlib_streams_of_earlier_versions_are_decoded() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(b"[\"text\"]").unwrap();
        assert_eq!(decode::<Vec<String>>(&zlib.finish().unwrap()).unwrap(), ["text"]);
    }

    #[test]
    fn damaged_bytes_never_decode_to_another_value() {
        let value = vec!["some text, some more text, and again some text".to_owned()];
        let bytes = encode(&value).unwrap();
        for i in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 0x10;
            // Readers ignore one bit of the header (RFC 8878, section 3.1.1.1.1.3).
            assert!(decode::<Vec<String>>(&damaged).is_ok_and(|read| read == value) == (i == 4), "byte {i}");
        }
    }
}
