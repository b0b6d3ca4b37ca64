//! `telewire`: parse the arguments, start logging, run one command, leave with its exit code.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use telewire::cli;
use telewire::config::{Cli, Command, LogArgs, LogFormat};
use tracing_subscriber::EnvFilter;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "errors of a command go to standard error as one sentence")]
async fn main() -> ExitCode {
    let Cli { command, serve } = Cli::parse();
    let command = command.unwrap_or(Command::Serve(Box::new(serve)));
    if let Command::Serve(args) = &command
        && let Err(err) = start_logging(&args.log)
    {
        eprintln!("telewire: {err}");
        return ExitCode::from(2);
    }
    match cli::run(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("telewire: {err}");
            ExitCode::from(err.exit_code())
        }
    }
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
