//! The file with settings: what it says takes the place of the flags' defaults, so that flags and variables win over it
//! and every value is checked in one place.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Cli;

/// What is wrong with a file of settings.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: {err}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        err: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}:{line}: {what}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

/// A setting as it is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name of its flag, without dashes.
    pub name: String,
    /// Its value; `None` when there is none.
    pub value: Option<String>,
    /// Where it was set.
    pub origin: Origin,
    /// It is not to be shown.
    pub is_secret: bool,
}

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// The environment.
    Variable,
    /// The file.
    File,
    /// Nobody.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flag => "flag",
            Self::Variable => "variable",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// The values of a file by the names of their flags.
type Values = BTreeMap<String, String>;

/// What this program was started with. A command line that is wrong ends the program, as does a call for help.
///
/// # Errors
///
/// When the file that it names is wrong.
pub fn from_arguments() -> Result<Cli, FileError> {
    let command = Cli::command();
    let matches = command.clone().try_get_matches().unwrap_or_else(|err| without_secret(err).exit());
    let file = config_of(&matches);
    let values = file.map(|file| read(&file)).transpose()?.unwrap_or_default();
    let matches = with_defaults(command, &values).get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|err| err.exit());
    let show = matches.subcommand_matches("config").and_then(|config| config.subcommand_matches("show"));
    cli.settings = show.map(|matches| settings(matches, &values)).unwrap_or_default();
    Ok(cli)
}

/// A complaint about a value that does not show it when it is secret.
fn without_secret(err: clap::Error) -> clap::Error {
    let flag = err.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let is_it = |secret: &Arg| {
        let name = secret.get_long().filter(|_| secret.is_hide_env_values_set());
        name.is_some_and(|name| flag.split_whitespace().next() == Some(&format!("--{name}")))
    };
    if err.kind() == ErrorKind::ValueValidation && flags().iter().any(is_it) {
        let why = err.source().map(ToString::to_string).unwrap_or_default();
        return Cli::command().error(ErrorKind::ValueValidation, format!("{flag}: {why}"));
    }
    err
}

/// Where `--config` was given, which may be behind the command.
fn config_of(matches: &ArgMatches) -> Option<PathBuf> {
    let own = matches.get_one::<PathBuf>("config").cloned();
    own.or_else(|| matches.subcommand().and_then(|(_, matches)| config_of(matches)))
}

/// Reads and checks a file. Returns how many settings it has.
///
/// # Errors
///
/// See [`FileError`].
pub fn check(file: &Path) -> Result<usize, FileError> {
    read(file).map(|values| values.len())
}

fn read(file: &Path) -> Result<Values, FileError> {
    let text =
        fs::read_to_string(file).map_err(|err| FileError::Unreadable { file: file.to_owned(), err })?;
    values(&text).map_err(|(at, what)| {
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        FileError::Wrong { file: file.to_owned(), line, what }
    })
}

/// The values in a text; else where it is wrong, and how.
fn values(text: &str) -> Result<Values, (usize, String)> {
    let table = DeTable::parse(text)
        .map_err(|err| (err.span().map_or(0, |span| span.start), err.message().to_owned()))?;
    let flags = flags();
    let mut values = Values::new();
    for (key, value) in table.get_ref() {
        let wrong = |what: String| (key.span().start, what);
        let name = key.get_ref().to_string();
        let flag = flags.iter().find(|flag| flag.get_long() == Some(&name));
        let flag = flag.ok_or_else(|| wrong(unknown(&name, &flags)))?;
        let text = as_text(value).ok_or_else(|| wrong(format!("{name} has one value, or a list of them")))?;
        check_value(flag, &text).map_err(|what| wrong(format!("{name}: {what}")))?;
        values.insert(name, text);
    }
    Ok(values)
}

/// The flags that a file can set.
fn flags() -> Vec<Arg> {
    let command = Cli::command();
    let can_be_set = |flag: &&Arg| flag.get_env().is_some() && !flag.is_global_set();
    command.get_arguments().filter(can_be_set).cloned().collect()
}

fn unknown(name: &str, flags: &[Arg]) -> String {
    let with_dashes = name.replace('_', "-");
    match flags.iter().find(|flag| flag.get_long() == Some(&with_dashes)) {
        Some(_) => format!("there is no {name}; write it as its flag: {with_dashes}"),
        None => {
            format!("there is no setting {name}: they are called as the flags are, see `telewire --help`")
        }
    }
}

/// A value as a flag would have it. A list is one value with commas.
fn as_text(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        // One that is too large is left to the flag to refuse.
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

/// Whether a flag would take a value.
fn check_value(flag: &Arg, value: &str) -> Result<(), String> {
    if matches!(flag.get_action(), ArgAction::SetTrue) {
        return value.parse::<bool>().map(drop).map_err(|_| "it is true or false".to_owned());
    }
    let alone = Command::new("telewire").no_binary_name(true).arg(flag.clone().env(None::<&str>));
    let argument = format!("--{}={value}", flag.get_long().unwrap_or_default());
    match alone.try_get_matches_from([argument]) {
        Ok(_) => Ok(()),
        Err(err) => {
            // clap's sentence is about a flag: what matters of it is its cause.
            let one_of = err.get(ContextKind::ValidValue).map(|values| format!("it is one of {values}"));
            let cause = err.source().map(ToString::to_string).or(one_of);
            let sentence = err.to_string();
            let line = sentence.lines().next().unwrap_or_default().trim_start_matches("error: ");
            Err(cause.unwrap_or_else(|| line.to_owned()))
        }
    }
}

/// A command whose flags have the values of a file as their defaults, as have those of its own commands.
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
        let origin = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => Origin::Variable,
            _ if values.contains_key(&name) => Origin::File,
            _ => Origin::Default,
        };
        let value = if matches!(flag.get_action(), ArgAction::SetTrue) {
            Some(matches.get_flag(id).to_string())
        } else {
            let raw = matches.get_raw(id).map(|raw| raw.map(|value| value.to_string_lossy().into_owned()));
            raw.map(|raw| raw.collect::<Vec<_>>().join(","))
        };
        Setting { name, value, origin, is_secret: flag.is_hide_env_values_set() }
    };
    flags().iter().map(setting).collect()
}

/// A file with every setting, what it is for, and its default.
#[must_use]
pub fn example() -> String {
    let mut text =
        "# Settings of telewire, with their defaults. Take the # away from those you change, then:\n\
         #   telewire config check telewire.toml && telewire --config telewire.toml\n"
            .to_owned();
    for flag in flags() {
        let help = flag.get_long_help().or(flag.get_help()).map(ToString::to_string).unwrap_or_default();
        text.push('\n');
        for line in wrapped(&help) {
            text.extend(["# ", line.as_str(), "\n"]);
        }
        let defaults = flag.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
        let default = defaults.collect::<Vec<_>>().join(",");
        let name = flag.get_long().unwrap_or_default();
        let value = match (flag.get_action(), default.as_str()) {
            (ArgAction::SetTrue, _) => "false".to_owned(),
            (_, "") => flag
                .get_value_names()
                .and_then(<[_]>::first)
                .map_or_else(String::new, |name| format!("{name:?}")),
            (_, number) if number.parse::<u64>().is_ok() => number.to_owned(),
            (_, text) => format!("{text:?}"),
        };
        text.extend(["# ", name, " = ", value.as_str(), "\n"]);
    }
    text
}

/// Lines of at most 110 characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < 110 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        values(text).unwrap_err().1
    }

    #[test]
    fn values_are_written_as_toml_has_them() {
        let text = "fresh-min = \"10m\"\nrate = 2\nno-archive = true\nupstream = [\"https://t.me\", \"https://telegram.me\"]\n";
        let values = values(text).unwrap();
        let value = |name: &str| values[name].as_str();
        assert_eq!((value("fresh-min"), value("rate"), value("no-archive")), ("10m", "2", "true"));
        assert_eq!(value("upstream"), "https://t.me,https://telegram.me");
    }

    #[test]
    fn a_mistake_is_said_with_what_to_write() {
        assert_eq!(wrong("fresh-min = \"soon\""), "fresh-min: write it as 90s, 10m or 1h");
        assert_eq!(wrong("no-archive = \"x\""), "no-archive: it is true or false");
        assert_eq!(wrong("media = \"x\""), "media: it is one of proxy, redirect, direct");
        assert_eq!(wrong("rate = 99999999999999999999"), "rate: it is too large");
        assert_eq!(wrong("fresh-min = \"a\\nb\""), "fresh-min: write it as 90s, 10m or 1h");
        assert_eq!(wrong("fresh_min = \"1m\""), "there is no fresh_min; write it as its flag: fresh-min");
        assert!(wrong("freshness = 1").starts_with("there is no setting freshness"));
        assert_eq!(
            wrong("[server]\nlisten = 1"),
            "there is no setting server: they are called as the flags are, see `telewire --help`"
        );
        assert_eq!(wrong("rate = 1979-05-27"), "rate has one value, or a list of them");
        assert_eq!(values("\n\nrate = 0").unwrap_err().0, 2, "where it is");
        assert!(values("rate = ").is_err() && values("rate = 1\nrate = 2").is_err());
    }

    #[test]
    fn an_example_with_everything_in_effect_is_right() {
        let has_default = |name: &str| {
            flags().iter().any(|flag| {
                flag.get_long() == Some(name)
                    && (!flag.get_default_values().is_empty()
                        || matches!(flag.get_action(), ArgAction::SetTrue))
            })
        };
        let example = example();
        let settings = example.lines().filter_map(|line| line.strip_prefix("# "));
        let settings =
            settings.filter(|line| line.split_once(" = ").is_some_and(|(name, _)| has_default(name)));
        let text = settings.collect::<Vec<_>>().join("\n");
        let n_with_default =
            flags().iter().filter_map(Arg::get_long).filter(|name| has_default(name)).count();
        assert_eq!(values(&text).unwrap().len(), n_with_default, "{text}");
    }
}
