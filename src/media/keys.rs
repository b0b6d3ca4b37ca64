//! The media key in the data directory, generated on the first start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::signed_url::MediaKeys;

/// The name of the file in the data directory.
const FILE: &str = "media.key";

/// Bytes of a generated key.
const KEY_BYTES: usize = 32;

/// Keys that are stored in a data directory.
#[derive(Clone)]
pub struct StoredKeys {
    /// The keys.
    pub keys: MediaKeys,
    folder: PathBuf,
    /// The content of the file.
    text: String,
}

impl StoredKeys {
    fn new(folder: &Path, text: String) -> Result<Self, String> {
        Ok(Self { keys: text.trim().parse()?, folder: folder.to_owned(), text })
    }

    /// Writes the file again if it was removed: without it, a restart would invalidate every media URL. Returns whether
    /// it was.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn rewrite(&self) -> io::Result<bool> {
        let is_removed = !self.folder.join(FILE).try_exists()?;
        if is_removed {
            self.write()?;
        }
        Ok(is_removed)
    }

    /// Writes the file with mode 0600. It is renamed when complete, so that a crash cannot leave half a key.
    fn write(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let part = self.folder.join(format!("{FILE}.part"));
        let mut new = create_private(&part)?;
        new.write_all(self.text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&part, self.folder.join(FILE))
    }
}

/// Loads the keys from a data directory, or generates a key there. Returns `None` if the file cannot be created.
///
/// # Errors
///
/// Fails if the file exists but cannot be read or parsed: a new key would invalidate every media URL.
pub fn load_or_generate(folder: &Path) -> io::Result<Option<StoredKeys>> {
    let file = folder.join(FILE);
    let invalid = |reason: String| io::Error::other(format!("{}: {reason}", file.display()));
    match fs::read_to_string(&file) {
        Ok(text) => StoredKeys::new(folder, text).map(Some).map_err(invalid),
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let keys = StoredKeys::new(folder, format!("{}\n", generate()?)).map_err(invalid)?;
            match keys.write() {
                Ok(()) => Ok(Some(keys)),
                Err(err) => {
                    tracing::warn!(file = %file.display(), error = %err, "cannot store a media key");
                    Ok(None)
                }
            }
        }
        Err(err) => Err(invalid(err.to_string())),
    }
}

/// Generates a key that is not stored: media URLs stop working when the process ends.
///
/// # Errors
///
/// Fails if the system's random number generator fails.
pub fn ephemeral() -> io::Result<MediaKeys> {
    generate()?.parse().map_err(io::Error::other)
}

fn generate() -> io::Result<String> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // A file left over by a crash may be readable by other users.
    match fs::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
