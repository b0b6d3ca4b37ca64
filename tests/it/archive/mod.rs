//! The archive never loses a published post. The same tests run on SQLite and PostgreSQL.

mod additions;
mod articles;
mod changes;
mod commands;
mod crash;
mod data_dir;
mod disk_faults;
mod history;
mod late_pages;
mod migrations;
mod model;
mod names;
mod replicas;
mod versions;
mod visits;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::postgres::Postgres;

/// A kind of archive, with a new database for it.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) database: Option<String>,
}

impl Kind {
    /// Returns the flags of a service or an `archive` command that use this archive.
    pub(crate) fn flags(&self) -> Vec<&str> {
        self.database.iter().flat_map(|url| ["--database", url]).collect()
    }
}

/// Returns a new persistent archive of each kind: SQLite, and PostgreSQL if it is installed.
pub(crate) fn kinds() -> Vec<Kind> {
    let postgres = Postgres::shared().map(Postgres::database);
    let postgres = postgres.map(|url| Kind { name: "PostgreSQL", database: Some(url) });
    [Kind { name: "SQLite", database: None }].into_iter().chain(postgres).collect()
}

/// Returns the damaged archives that a service has quarantined in its data directory.
fn damaged_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("data")).unwrap().map(|file| file.unwrap().path());
    let is_damaged = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.starts_with("archive.damaged-2") && name.ends_with(".sqlite")
    };
    files.filter(is_damaged).collect()
}
