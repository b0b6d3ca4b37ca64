//! Pages that could not be read, kept for a person to look at: the first sign of a change on Telegram's side.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::channel::ChannelName;

/// How many pages are kept, the newest.
const MAX_SAMPLES: usize = 5;

/// The folder with the pages.
#[derive(Clone, Debug)]
pub struct Samples(PathBuf);

impl Samples {
    /// Samples in a folder of their own inside the data folder; it is made when there is one to keep.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self(data_dir.join("unread"))
    }

    /// Keeps a channel's page, in place of an older one of the same channel. That it can't be kept is logged.
    pub(super) fn keep(&self, name: &ChannelName, html: &str) {
        let file = self.0.join(format!("{}.html", name.as_str().to_ascii_lowercase()));
        match self.write(&file, html) {
            Ok(()) => {
                tracing::warn!(channel = %name, "kept as {0}: see `telewire check --page {0}`", file.display());
            }
            Err(err) => tracing::warn!(channel = %name, "cannot be kept as {}: {err}", file.display()),
        }
    }

    fn write(&self, file: &Path, html: &str) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        fs::write(file, html)?;
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            kept.push((entry.metadata()?.modified()?, entry.path()));
        }
        kept.sort();
        let n_old = kept.len().saturating_sub(MAX_SAMPLES);
        kept.iter().take(n_old).filter(|(_, old)| old != file).try_for_each(|(_, old)| fs::remove_file(old))
    }
}
