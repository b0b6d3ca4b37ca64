//! `telewire config …`: checks and shows settings.

use std::io::{self, Write};

use super::CliError;
use crate::config::{self, ConfigCommand, Setting, SettingsFile};

/// Runs one of the commands. `settings` are the settings in effect.
pub(super) fn run(command: ConfigCommand, settings: &[Setting]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match command {
        ConfigCommand::Check { file } => {
            let settings = SettingsFile::read(&file)?;
            settings.check()?;
            let (n_settings, n_bundles) = (settings.n_settings(), settings.bundles.len());
            writeln!(out, "{}: {n_settings} settings and {n_bundles} bundles, all valid", file.display())?;
        }
        ConfigCommand::Show(_) => {
            let width = settings.iter().map(|setting| setting.name.len()).max().unwrap_or_default();
            for Setting { name, value, source, is_secret } in settings {
                let value = match value {
                    Some(_) if *is_secret => "(not shown)",
                    Some(value) => value,
                    None => "-",
                };
                writeln!(out, "{name:width$}  {source:8}  {value}")?;
            }
        }
        ConfigCommand::Example => out.write_all(config::example().as_bytes())?,
    }
    Ok(out.flush()?)
}
