//! `telewire`: parse the arguments, start logging, run one command, leave with its exit code.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use telewire::cli;
use telewire::config::{Cli, Command, LogArgs, LogFormat};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, serve } = Cli::parse();
    let command = command.unwrap_or(Command::Serve(Box::new(serve)));
    if let Command::Serve(args) = &command
        && let Err(err) = start_logging(&args.log)
    {
        complain(&err);
        return ExitCode::from(2);
    }
    match cli::run(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            complain(&err);
            ExitCode::from(err.exit_code())
        }
    }
}

/// Errors of a command go to standard error as one sentence. When nobody can hear it, the exit code has to do.
fn complain(err: &dyn std::fmt::Display) {
    drop(writeln!(io::stderr(), "telewire: {err}"));
}

fn start_logging(args: &LogArgs) -> Result<(), String> {
    let filter = EnvFilter::try_new(&args.log).map_err(|err| format!("--log {:?}: {err}", args.log))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match args.log_format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
