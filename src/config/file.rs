//! The settings file: its values replace the defaults of flags, so flags and variables override them and every value is
//! validated by the same parser.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::args::Cli;
use super::bundles::{self, Mistake};
use super::explain::explain;
use super::{Config, ConfigError, ServeArgs};
use crate::web::Bundles;

/// Why a settings file is invalid.
#[derive(Debug, Error)]
pub enum SettingsFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {err}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        err: std::io::Error,
    },
    /// Settings are invalid.
    #[error("{}", listed(file, mistakes))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The line number, from 1, of each mistake, and what is wrong.
        mistakes: Vec<(usize, String)>,
    },
}

/// Returns one line per mistake.
fn listed(file: &Path, mistakes: &[(usize, String)]) -> String {
    let line = |(line, what): &(usize, String)| format!("{}:{line}: {what}", file.display());
    mistakes.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A setting in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name of its flag, without leading dashes.
    pub name: String,
    /// The value; `None` if not set.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: SettingSource,
    /// The value must not be shown.
    pub is_secret: bool,
}

impl Setting {
    /// Returns whether a flag or a variable overrides the settings file.
    fn is_overridden(&self) -> bool {
        matches!(self.source, SettingSource::Flag | SettingSource::Variable)
    }
}

/// Where the value of a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingSource {
    /// A flag.
    Flag,
    /// An environment variable.
    Variable,
    /// The settings file.
    File,
    /// The built-in default.
    Default,
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flag => "flag",
            Self::Variable => "variable",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// The values of a settings file by flag name.
type Values = BTreeMap<String, String>;

/// The content of a settings file.
#[derive(Debug, Default)]
pub struct SettingsFile {
    pub(super) values: Values,
    /// The bundles.
    pub bundles: Bundles,
}

impl SettingsFile {
    /// Reads a settings file.
    ///
    /// # Errors
    ///
    /// See [`SettingsFileError`].
    pub fn read(file: &Path) -> Result<Self, SettingsFileError> {
        let text = fs::read_to_string(file)
            .map_err(|err| SettingsFileError::Unreadable { file: file.to_owned(), err })?;
        parse(&text).map_err(|mistakes| {
            let line = |at| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
            let mistakes = mistakes.into_iter().map(|(at, what)| (line(at), what)).collect();
            SettingsFileError::Invalid { file: file.to_owned(), mistakes }
        })
    }

    /// Checks that the settings of the file go together, with the defaults of the others.
    ///
    /// # Errors
    ///
    /// See [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let command = ServeArgs::augment_args(Command::new("telewire").no_binary_name(true));
        let command = with_defaults(command.mut_args(|flag| flag.env(None::<&str>)), &self.values);
        let matches = command.get_matches_from([""; 0]);
        let args = ServeArgs::from_arg_matches(&matches).unwrap_or_else(|err| err.exit());
        Config::try_from(args).map(drop)
    }

    /// Returns the number of settings that are not bundles.
    #[must_use]
    pub fn n_settings(&self) -> usize {
        self.values.len()
    }

    /// Returns the names of the settings that differ from an earlier version of the file, without those that a flag or a
    /// variable overrides. Bundles are not among them.
    #[must_use]
    pub fn changed_settings(&self, earlier: &Self, in_effect: &[Setting]) -> BTreeSet<String> {
        let names = self.values.keys().chain(earlier.values.keys());
        let changed = names.filter(|name| self.values.get(*name) != earlier.values.get(*name));
        let is_overridden =
            |name: &String| in_effect.iter().any(|setting| setting.name == *name && setting.is_overridden());
        changed.filter(|name| !is_overridden(name)).cloned().collect()
    }
}

/// Parses the command line, the environment and the settings file. Also returns the settings of `serve` in effect. Exits
/// the process on `--help` or an invalid command line.
///
/// # Errors
///
/// If the settings file is invalid.
pub fn from_arguments() -> Result<(Cli, Vec<Setting>), SettingsFileError> {
    let command = Cli::command();
    let matches = command.clone().try_get_matches().unwrap_or_else(|err| explain(err).exit());
    if let Some(err) = reject_flags_before_command(command.clone(), &matches) {
        err.exit();
    }
    let file = config_of(&matches);
    let SettingsFile { values, .. } =
        file.map(|file| SettingsFile::read(&file)).transpose()?.unwrap_or_default();
    let matches = with_defaults(command, &values).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|err| err.exit());
    let show = matches.subcommand_matches("config").and_then(|config| config.subcommand_matches("show"));
    let serve = show.or(matches.subcommand_matches("serve")).unwrap_or(&matches);
    Ok((cli, settings(serve, &values)))
}

/// Returns an error if flags of `serve` are given before another command, where they have no effect. `--config` is a flag
/// of every command.
fn reject_flags_before_command(mut command: Command, matches: &ArgMatches) -> Option<clap::Error> {
    let name = matches.subcommand_name()?;
    let is_given = |flag: &&Arg| {
        matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
            && !flag.is_global_set()
    };
    let flag = command.get_arguments().find(is_given)?.get_long().unwrap_or_default();
    let message = format!("--{flag} cannot be used before the command '{name}': write it after '{name}'");
    Some(command.error(ErrorKind::ArgumentConflict, message))
}

/// Returns the value of `--config`, which may be given after the command.
fn config_of(matches: &ArgMatches) -> Option<PathBuf> {
    let own = matches.get_one::<PathBuf>("config").cloned();
    own.or_else(|| matches.subcommand().and_then(|(_, matches)| config_of(matches)))
}

/// Parses a settings file.
pub(super) fn parse(text: &str) -> Result<SettingsFile, Vec<Mistake>> {
    let table = DeTable::parse(text)
        .map_err(|err| vec![(err.span().map_or(0, |span| span.start), err.message().to_owned())])?;
    let flags = flags();
    let (mut contents, mut mistakes) = (SettingsFile::default(), Vec::new());
    for (key, value) in table.get_ref() {
        let name = key.get_ref().to_string();
        if name == bundles::KEY {
            contents.bundles = bundles::parse(value, &mut mistakes);
            continue;
        }
        match setting_value(&name, value, &flags) {
            Ok(value) => drop(contents.values.insert(name, value)),
            Err(what) => mistakes.push((key.span().start, what)),
        }
    }
    mistakes.sort();
    if mistakes.is_empty() { Ok(contents) } else { Err(mistakes) }
}

/// Returns the value of a setting as its flag would have it, or what is wrong.
fn setting_value(name: &str, value: &Spanned<DeValue<'_>>, flags: &[Arg]) -> Result<String, String> {
    let flag = flags.iter().find(|flag| flag.get_long() == Some(name));
    let flag = flag.ok_or_else(|| unknown(name, flags))?;
    let text = as_text(value).ok_or_else(|| format!("{name}: must be a single value or a list"))?;
    check_value(flag, &text).map_err(|what| format!("{name}: {what}"))?;
    Ok(text)
}

/// Returns the flags that a settings file can set.
pub(super) fn flags() -> Vec<Arg> {
    let command = Cli::command();
    let can_be_set = |flag: &&Arg| flag.get_env().is_some() && !flag.is_global_set();
    command.get_arguments().filter(can_be_set).cloned().collect()
}

fn unknown(name: &str, flags: &[Arg]) -> String {
    let with_dashes = name.replace('_', "-");
    match flags.iter().find(|flag| flag.get_long() == Some(&with_dashes)) {
        Some(_) => format!("unknown setting {name}: did you mean {with_dashes}?"),
        None => {
            format!("unknown setting {name}: settings have the names of the flags, see `telewire --help`")
        }
    }
}

/// Returns a value as a flag would have it. A list becomes one value with commas.
fn as_text(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        // A number that is too large is rejected by the flag's parser.
        DeValue::Integer(number) => Some(
            i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.as_str().to_owned(), |n| n.to_string()),
        ),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(is_so) => Some(is_so.to_string()),
        DeValue::Array(values) => {
            values.iter().map(as_text).collect::<Option<Vec<_>>>().map(|values| values.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// Validates a value with the parser of its flag.
fn check_value(flag: &Arg, value: &str) -> Result<(), String> {
    if matches!(flag.get_action(), ArgAction::SetTrue) {
        return value.parse::<bool>().map(drop).map_err(|_| "must be true or false".to_owned());
    }
    let alone = Command::new("telewire").no_binary_name(true).arg(flag.clone().env(None::<&str>));
    let argument = format!("--{}={value}", flag.get_long().unwrap_or_default());
    match alone.try_get_matches_from([argument]) {
        Ok(_) => Ok(()),
        Err(err) => {
            // clap's message is about a flag; only its cause matters here.
            let one_of = err.get(ContextKind::ValidValue).map(|values| format!("must be one of {values}"));
            let cause = err.source().map(ToString::to_string).or(one_of);
            let sentence = err.to_string();
            let line = sentence.lines().next().unwrap_or_default().trim_start_matches("error: ");
            Err(cause.unwrap_or_else(|| line.to_owned()))
        }
    }
}

/// Replaces the defaults of a command's flags, and of its subcommands, by the values of a settings file.
fn with_defaults(mut command: Command, values: &Values) -> Command {
    for (name, value) in values {
        let flag = command.get_arguments().find(|flag| flag.get_long() == Some(name));
        if let Some(id) = flag.map(|flag| flag.get_id().clone()) {
            command = command.mut_arg(id, |flag| flag.default_value(value.clone()));
        }
    }
    command.mut_subcommands(|command| with_defaults(command, values))
}

fn settings(matches: &ArgMatches, values: &Values) -> Vec<Setting> {
    let setting = |flag: &Arg| {
        let (id, name) = (flag.get_id().as_str(), flag.get_long().unwrap_or_default().to_owned());
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => SettingSource::Flag,
            Some(ValueSource::EnvVariable) => SettingSource::Variable,
            _ if values.contains_key(&name) => SettingSource::File,
            _ => SettingSource::Default,
        };
        let value = if matches!(flag.get_action(), ArgAction::SetTrue) {
            Some(matches.get_flag(id).to_string())
        } else {
            let raw = matches.get_raw(id).map(|raw| raw.map(|value| value.to_string_lossy().into_owned()));
            raw.map(|raw| raw.collect::<Vec<_>>().join(","))
        };
        Setting { name, value, source, is_secret: flag.is_hide_env_values_set() }
    };
    flags().iter().map(setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Values {
        parse(text).unwrap().values
    }

    fn reason(text: &str) -> String {
        parse(text).unwrap_err().swap_remove(0).1
    }

    #[test]
    fn toml_values_become_flag_values() {
        let text = "fresh-min = \"10m\"\nrate = 2\nno-archive = true\nupstream = [\"https://t.me\", \"https://telegram.me\"]\n";
        let values = values(text);
        let value = |name: &str| values[name].as_str();
        assert_eq!((value("fresh-min"), value("rate"), value("no-archive")), ("10m", "2", "true"));
        assert_eq!(value("upstream"), "https://t.me,https://telegram.me");
    }

    #[test]
    fn invalid_settings_are_explained() {
        for (text, expected) in [
            ("fresh-min = \"soon\"", "fresh-min: must look like 90s, 10m or 1h"),
            ("no-archive = \"x\"", "no-archive: must be true or false"),
            ("media = \"x\"", "media: must be one of proxy, redirect, direct"),
            ("rate = 99999999999999999999", "rate: is too large a number"),
            ("fresh-min = \"a\\nb\"", "fresh-min: must look like 90s, 10m or 1h"),
            ("fresh_min = \"1m\"", "unknown setting fresh_min: did you mean fresh-min?"),
            (
                "[server]\nlisten = 1",
                "unknown setting server: settings have the names of the flags, see `telewire --help`",
            ),
            ("rate = 1979-05-27", "rate: must be a single value or a list"),
        ] {
            assert_eq!(reason(text), expected);
        }
        assert!(parse("rate = ").is_err() && parse("rate = 1\nrate = 2").is_err());
        let two = parse("\n\nrate = 0\nlisten = 1\n").unwrap_err();
        assert_eq!(two.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2, 11], "the byte offsets");
    }
}
