//! JSON compressed with Zstandard: the form in which snapshots are cached and posts are archived.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zstd::bulk::Compressor;
use zstd::zstd_safe::get_frame_content_size;

/// The level of zstd that makes pages as small as zlib's default level does, in a third of the time.
const LEVEL: i32 = 3;

/// The magic number at the start of a Zstandard frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

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
/// If the bytes are damaged, or the JSON has another shape or more than `max_bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], max_bytes: usize) -> io::Result<T> {
    Ok(serde_json::from_slice(&decompress(bytes, max_bytes)?)?)
}

/// Returns the JSON that [`decode`] would parse.
///
/// # Errors
///
/// If the bytes are damaged, or the JSON has more than `max_bytes`.
pub(crate) fn decompress(bytes: &[u8], max_bytes: usize) -> io::Result<Vec<u8>> {
    let too_large = || io::Error::new(io::ErrorKind::InvalidData, "the decoded size is unknown or too large");
    if bytes.starts_with(&ZSTD_MAGIC) {
        let n_bytes = decoded_len(bytes).filter(|n_bytes| *n_bytes <= max_bytes).ok_or_else(too_large)?;
        return zstd::bulk::decompress(bytes, n_bytes);
    }
    let mut json = Vec::new();
    ZlibDecoder::new(bytes).take((max_bytes as u64).saturating_add(1)).read_to_end(&mut json)?;
    if json.len() > max_bytes { Err(too_large()) } else { Ok(json) }
}

/// Returns the size of the JSON that [`encode`] compressed, in bytes.
pub(crate) fn decoded_len(bytes: &[u8]) -> Option<usize> {
    get_frame_content_size(bytes).ok().flatten().and_then(|n_bytes| usize::try_from(n_bytes).ok())
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
        assert_eq!(decode::<Vec<String>>(&encode(&value).unwrap(), 1 << 20).unwrap(), value);
    }

    #[test]
    fn zlib_streams_of_earlier_versions_are_decoded() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(b"[\"text\"]").unwrap();
        assert_eq!(decode::<Vec<String>>(&zlib.finish().unwrap(), 1 << 20).unwrap(), ["text"]);
    }

    #[test]
    fn damaged_bytes_never_decode_to_another_value() {
        let value = vec!["some text, some more text, and again some text".to_owned()];
        let bytes = encode(&value).unwrap();
        for i in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 0x10;
            // Readers ignore one bit of the header (RFC 8878, section 3.1.1.1.1.3).
            assert!(
                decode::<Vec<String>>(&damaged, 1 << 20).is_ok_and(|read| read == value) == (i == 4),
                "byte {i}"
            );
        }
    }
}
