//! Addresses of files that are the service's own: signed, so that it fetches nothing but what it has named itself, and
//! good for ever, since they name the post and not Telegram's file.

use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::MediaHosts;
use crate::channel::ChannelName;
use crate::files::{FileId, FileName};
use crate::post::PostId;

/// What the path of such an address begins with.
pub const PATH: &str = "/-/media/";

/// Signed before everything else, so that a later form of address cannot be taken for this one.
const VERSION: &[u8] = b"telewire media 1\n";

/// Bytes of a signature: 128 bits.
const TAG: usize = 16;

/// Characters of the shortest key.
const MIN_KEY: usize = 32;

/// Keys that addresses are signed with: the first one signs, all of them are good.
#[derive(Clone)]
pub struct MediaKeys(Vec<Hmac<Sha256>>);

impl std::fmt::Debug for MediaKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MediaKeys(…)")
    }
}

impl FromStr for MediaKeys {
    type Err = String;

    /// Reads keys that are separated by commas.
    fn from_str(keys: &str) -> Result<Self, String> {
        let key = |key: &str| {
            let key = key.trim();
            if key.len() < MIN_KEY {
                return Err(format!(
                    "a key must have at least {MIN_KEY} characters, as `openssl rand -hex 32` makes it"
                ));
            }
            Hmac::new_from_slice(key.as_bytes()).map_err(|err| err.to_string())
        };
        keys.split(',').map(key).collect::<Result<_, _>>().map(Self)
    }
}

impl MediaKeys {
    /// The path of a file: `/-/media/TAG/durov/42/0.jpg`.
    #[must_use]
    pub fn path(&self, file: &FileId) -> String {
        let file = file.to_string();
        let mut path = String::with_capacity(PATH.len() + 24 + file.len());
        path.push_str(PATH);
        // Reading keys makes at least one.
        if let Some(first) = self.0.first() {
            let tag = with(first, &file).finalize().into_bytes();
            BASE64_URL_SAFE_NO_PAD.encode_string(&tag[..TAG], &mut path);
        }
        path.push('/');
        path.push_str(&file);
        path
    }

    /// The file that a path names, if one of the keys has signed exactly this path.
    #[must_use]
    pub fn verify(&self, path: &str) -> Option<FileId> {
        let (tag, file) = path.strip_prefix(PATH)?.split_once('/')?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok().filter(|tag| tag.len() == TAG)?;
        // In constant time for each key.
        let is_signed = self.0.iter().any(|key| with(key, file).verify_truncated_left(&tag).is_ok());
        is_signed.then(|| file.parse().ok())?
    }
}

fn with(key: &Hmac<Sha256>, file: &str) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(VERSION);
    mac.update(file.as_bytes());
    mac
}

/// How feeds address files.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// Hosts whose files are shown; others are linked.
    pub hosts: MediaHosts,
    /// The service's base address and its keys, when the files are had from the service.
    pub own: Option<(String, Arc<MediaKeys>)>,
}

impl Links {
    /// The address of a file that Telegram has at `url`, if it may be shown.
    #[must_use]
    pub fn link(
        &self,
        channel: &ChannelName,
        post: Option<PostId>,
        name: FileName,
        url: &str,
    ) -> Option<String> {
        let admitted = self.hosts.admit(url)?;
        let Some((base, keys)) = &self.own else { return Some(admitted) };
        let mut link = base.clone();
        let file = FileId { channel: channel.clone(), post, name };
        link.push_str(&keys.path(&file));
        Some(link)
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
    fn keys_rotate_without_breaking_addresses() {
        let file: FileId = "durov/42/0.jpg".parse().unwrap();
        let (old, both, new) = (keys(A), keys(&format!("{B},{A}")), keys(B));
        assert_eq!(both.verify(&old.path(&file)), Some(file.clone()));
        assert_eq!(new.path(&file), both.path(&file), "the first one signs");
        assert_eq!(new.verify(&old.path(&file)), None);
        assert!("short".parse::<MediaKeys>().is_err() && "".parse::<MediaKeys>().is_err());
    }

    /// Every bit of many addresses, and every spelling of a signature that decodes to the same bytes.
    #[test]
    fn nothing_but_what_was_signed_is_accepted() {
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
