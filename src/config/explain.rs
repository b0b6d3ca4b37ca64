//! Explains errors of the command line better than clap does.

use std::error::Error as _;

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, Command, CommandFactory};

use super::args::Cli;
use crate::telegram::typed::parse_channel;

/// Adds what clap does not know: that an unknown command is a channel, or that a value came from a variable. Removes
/// secret values.
pub(super) fn explain(err: clap::Error) -> clap::Error {
    match err.kind() {
        ErrorKind::InvalidSubcommand => suggest_get(&err).unwrap_or(err),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => explain_value(&err).unwrap_or(err),
        _ => err,
    }
}

/// Suggests `telewire get CHANNEL` for `telewire CHANNEL`.
fn suggest_get(err: &clap::Error) -> Option<clap::Error> {
    let typed = err.get(ContextKind::InvalidSubcommand)?.to_string();
    if err.get(ContextKind::SuggestedSubcommand).is_some() || parse_channel(&typed).is_err() {
        return None;
    }
    let message = format!(
        "unrecognized subcommand '{typed}'\n\n  tip: to write the feed of this channel, run `telewire get {typed}`"
    );
    Some(Cli::command().error(ErrorKind::InvalidSubcommand, message))
}

/// Names the variable that an invalid value came from, and leaves out a secret value.
fn explain_value(err: &clap::Error) -> Option<clap::Error> {
    let flag_and_placeholder = err.get(ContextKind::InvalidArg)?.to_string();
    let flag = flag_and_placeholder.split_whitespace().next()?;
    let mut command = command_in_use();
    let arg = command.get_arguments().find(|arg| arg.get_long() == flag.strip_prefix("--"))?;
    let is_secret = arg.is_hide_env_values_set();
    let variable = variable_of(arg, flag);
    if !is_secret && variable.is_none() {
        return None;
    }
    let value = err.get(ContextKind::InvalidValue).filter(|_| !is_secret).map(ToString::to_string);
    let value = value.map(|value| format!(" '{value}'")).unwrap_or_default();
    let possible = err.get(ContextKind::ValidValue).map(|values| format!("must be one of {values}"));
    let reason = err.source().map(ToString::to_string).or(possible).unwrap_or_default();
    let setting = variable.unwrap_or(flag_and_placeholder);
    Some(command.error(ErrorKind::ValueValidation, format!("invalid value{value} for {setting}: {reason}")))
}

/// Returns the variable of a flag, if it is set and the flag is not on the command line.
#[expect(clippy::disallowed_methods, reason = "`config` reads the environment")]
fn variable_of(arg: &Arg, flag: &str) -> Option<String> {
    let is_given = std::env::args().any(|given| given.split('=').next() == Some(flag));
    let variable = arg.get_env().filter(|variable| !is_given && std::env::var_os(variable).is_some())?;
    Some(variable.to_string_lossy().into_owned())
}

/// Returns the command that was called, so that the error shows its usage.
fn command_in_use() -> Command {
    let mut command = Cli::command();
    command.build();
    for name in std::env::args().skip(1).filter(|given| !given.starts_with('-')) {
        match command.find_subcommand(&name) {
            Some(subcommand) => command = subcommand.clone(),
            None => break,
        }
    }
    command
}
