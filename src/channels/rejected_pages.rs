//! Pages that the parser rejected, stored for a bug report: the first sign that Telegram changed its markup.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::channel::ChannelName;

/// The number of pages that are kept, the newest ones.
const MAX_PAGES: usize = 5;

/// The directory of rejected pages.
#[derive(Clone, Debug)]
pub struct RejectedPages(PathBuf);

impl RejectedPages {
    /// Uses `rejected-pages/` in the data directory, which is created when the first page is stored.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self(data_dir.join("rejected-pages"))
    }

    /// Stores a channel's page and replaces an older one of the same channel. A failure is only logged.
    pub(super) fn store(&self, name: &ChannelName, html: &str) {
        let file = self.0.join(format!("{}.html", name.as_str().to_ascii_lowercase()));
        match self.write(&file, html) {
            Ok(()) => {
                tracing::warn!(channel = %name, file = %file.display(), "stored a page that cannot be parsed; see `telewire check --page FILE`");
            }
            Err(err) => {
                tracing::warn!(channel = %name, file = %file.display(), error = %err, "cannot store a page that cannot be parsed");
            }
        }
    }

    fn write(&self, file: &Path, html: &str) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        fs::write(file, html)?;
        let mut pages = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            pages.push((entry.metadata()?.modified()?, entry.path()));
        }
        pages.sort();
        let n_old = pages.len().saturating_sub(MAX_PAGES);
        pages.iter().take(n_old).filter(|(_, old)| old != file).try_for_each(|(_, old)| fs::remove_file(old))
    }
}
