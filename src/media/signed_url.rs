//! Signed URLs of media files: `/-/media/TAG/durov/42/0.jpg`.
//!
//! The tag is an HMAC, so the service fetches only files that it has linked itself. The URL is permanent, because it
//! identifies the post and not Telegram's file.

use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::hosts::MediaHosts;
use crate::model::channel::ChannelName;
use crate::model::media_file::{FileId, FileName};
use crate::model::post::PostId;

/// The path prefix of signed URLs.
pub const PATH_PREFIX: &str = "/-/media/";

/// The query of a media URL that redirects to Telegram although the service streams files by default. It is not signed: the
/// URL without it gives the same file.
pub const REDIRECT_QUERY: &str = "redirect";

/// Signed before the path, so that a later URL format cannot be mistaken for this one.
const VERSION: &[u8] = b"telewire media 1\n";

/// The length of a tag: 128 bits.
const TAG_BYTES: usize = 16;

/// The minimum length of a key.
const MIN_KEY_CHARS: usize = 32;

/// The signing keys: the first one signs, all of them verify.
#[derive(Clone)]
pub struct MediaKeys(Vec<Hmac<Sha256>>);

impl std::fmt::Debug for MediaKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MediaKeys(…)")
    }
}

impl FromStr for MediaKeys {
    type Err = String;

    /// Parses a comma-separated list of keys. An error never contains the key.
    fn from_str(keys: &str) -> Result<Self, String> {
        let key = |key: &str| {
            let key = key.trim();
            if key.len() < MIN_KEY_CHARS {
                return Err(format!(
                    "a key must have at least {MIN_KEY_CHARS} characters; generate one with `openssl rand -hex 32`"
                ));
            }
            Hmac::new_from_slice(key.as_bytes()).map_err(|err| err.to_string())
        };
        keys.split(',').map(key).collect::<Result<_, _>>().map(Self)
    }
}

impl MediaKeys {
    /// Returns the signed path of a file.
    #[must_use]
    pub fn path(&self, file: &FileId) -> String {
        let file = file.to_string();
        let mut path = String::with_capacity(PATH_PREFIX.len() + 24 + file.len());
        path.push_str(PATH_PREFIX);
        // Parsing guarantees at least one key.
        if let Some(first) = self.0.first() {
            let tag = mac(first, &file).finalize().into_bytes();
            BASE64_URL_SAFE_NO_PAD.encode_string(&tag[..TAG_BYTES], &mut path);
        }
        path.push('/');
        path.push_str(&file);
        path
    }

    /// Returns the file of a path that was signed with one of the keys, or `None` for any other path.
    #[must_use]
    pub fn verify(&self, path: &str) -> Option<FileId> {
        let (tag, file) = path.strip_prefix(PATH_PREFIX)?.split_once('/')?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok().filter(|tag| tag.len() == TAG_BYTES)?;
        // Compares in constant time.
        let is_signed = self.0.iter().any(|key| mac(key, file).verify_truncated_left(&tag).is_ok());
        is_signed.then(|| file.parse().ok())?
    }
}

fn mac(key: &Hmac<Sha256>, file: &str) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(VERSION);
    mac.update(file.as_bytes());
    mac
}

/// Turns media files into the URLs that feeds contain.
#[derive(Clone, Debug, Default)]
pub struct MediaLinker {
    /// Hosts whose files are embedded; others are only linked.
    pub hosts: MediaHosts,
    /// The service's base URL and keys; `None` to use Telegram's URLs.
    pub proxy: Option<(String, Arc<MediaKeys>)>,
    /// The service's URLs ask for a redirect to Telegram; see [`REDIRECT_QUERY`].
    pub redirects: bool,
}

impl MediaLinker {
    /// Returns the URL that feeds contain for the file at `telegram_url`; `None` if its host is not allowed.
    #[must_use]
    pub fn url(
        &self,
        channel: &ChannelName,
        post: Option<PostId>,
        name: FileName,
        telegram_url: &str,
    ) -> Option<String> {
        let allowed = self.hosts.allow(telegram_url)?;
        let Some((base, keys)) = &self.proxy else { return Some(allowed) };
        let mut signed = base.clone();
        let file = FileId { channel: channel.clone(), post, name };
        signed.push_str(&keys.path(&file));
        if self.redirects {
            signed.push('?');
            signed.push_str(REDIRECT_QUERY);
        }
        Some(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> MediaKeys {
        text.parse().unwrap()
    }

    const A: &str = "a0000000000000000000000000000000";
    const B: &str = "b0000000000000000000000000000000";

    #[test]
    fn keys_rotate_without_breaking_urls() {
        let file: FileId = "durov/42/0.jpg".parse().unwrap();
        let (old, both, new) = (keys(A), keys(&format!("{B},{A}")), keys(B));
        assert_eq!(both.verify(&old.path(&file)), Some(file.clone()));
        assert_eq!(new.path(&file), both.path(&file), "the first key signs");
        assert_eq!(new.verify(&old.path(&file)), None);
        assert!("short".parse::<MediaKeys>().is_err() && "".parse::<MediaKeys>().is_err());
    }

    /// Flips every bit of many URLs, and appends characters.
    #[test]
    fn forged_urls_are_rejected() {
        let keys = keys(A);
        let mut n_tried = 0_u32;
        for n in 1..=1000 {
            let file: FileId = format!("sample/{n}/{}.jpg", n % 10).parse().unwrap();
            let path = keys.path(&file);
            assert_eq!(keys.verify(&path), Some(file));
            for at in 0..path.len() {
                for bit in 0..7 {
                    let mut bytes = path.clone().into_bytes();
                    bytes[at] ^= 1 << bit;
                    let mutated = String::from_utf8(bytes).unwrap();
                    assert_eq!(keys.verify(&mutated), None, "{mutated}");
                    n_tried += 1;
                }
            }
            for more in ["=", "A", "/", "%2e", "?", "\0"] {
                assert_eq!(keys.verify(&format!("{path}{more}")), None, "{path}{more}");
            }
        }
        assert!(n_tried > 300_000, "{n_tried}");
    }
}
