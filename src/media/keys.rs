//! The key that a service makes itself, since nobody should have to set one up.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::MediaKeys;

/// The file in the data folder.
const FILE: &str = "media.key";

/// Bytes of a new key.
const LENGTH: usize = 32;

/// The keys in a data folder; a new one is put there when there is none. Only its owner may read the file. `None` when
/// it cannot be put there.
///
/// # Errors
///
/// When a file is there that cannot be read, or holds no keys: with another one every address would be dead.
pub fn in_folder(folder: &Path) -> io::Result<Option<MediaKeys>> {
    let file = folder.join(FILE);
    let wrong = |why: String| io::Error::other(format!("{}: {why}", file.display()));
    match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map(Some).map_err(wrong),
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            match make(folder, &file) {
                Ok(keys) => Ok(Some(keys)),
                Err(err) => {
                    tracing::warn!("{} cannot be made: {err}", file.display());
                    Ok(None)
                }
            }
        }
        Err(err) => Err(wrong(err.to_string())),
    }
}

fn make(folder: &Path, file: &Path) -> io::Result<MediaKeys> {
    let key = generate()?;
    fs::create_dir_all(folder)?;
    // Whole or not at all: a program that ends meanwhile must not leave half a key.
    let part = folder.join(format!("{FILE}.part"));
    let mut new = private(&part)?;
    new.write_all(format!("{key}\n").as_bytes())?;
    new.sync_all()?;
    fs::rename(&part, file)?;
    key.parse().map_err(io::Error::other)
}

/// A key for this run alone.
///
/// # Errors
///
/// When the system has no random numbers to give.
pub fn of_this_run() -> io::Result<MediaKeys> {
    generate()?.parse().map_err(io::Error::other)
}

fn generate() -> io::Result<String> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // One that was left half-made may be readable to others.
    match fs::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
