//! The `telewire` binary: parses the arguments, starts logging and runs one command.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use telewire::cli::{self, CliError};
use telewire::config::{self, Cli, Command, LogArgs, LogFormat};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(err) => {
            print_error(&err);
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run());
    // Do not wait for blocking tasks, such as a DNS lookup by the system.
    runtime.shutdown_background();
    code
}

async fn run() -> ExitCode {
    let (Cli { command, serve, config }, settings) = match config::from_arguments() {
        Ok(cli) => cli,
        Err(err) => {
            print_error(&err);
            return ExitCode::from(CliError::from(err).exit_code());
        }
    };
    let command = command.unwrap_or(Command::Serve(Box::new(serve)));
    if let Command::Serve(args) = &command
        && let Err(err) = start_logging(&args.log)
    {
        print_error(&err);
        return ExitCode::from(2);
    }
    match cli::run(command, &settings, config.as_deref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            print_error(&err);
            ExitCode::from(err.exit_code())
        }
    }
}

/// Prints an error to stderr. If that fails, the exit code has to suffice.
fn print_error(err: &dyn std::fmt::Display) {
    drop(writeln!(io::stderr(), "telewire: {err}"));
}

fn start_logging(args: &LogArgs) -> Result<(), String> {
    let filter = args.log.parse::<Targets>().map_err(|err| format!("--log {:?}: {err}", args.log))?;
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(io::stderr);
    let is_terminal = io::stderr().is_terminal();
    match args.log_format.unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json }) {
        LogFormat::Text => subscriber.with_ansi(is_terminal).finish().with(filter).init(),
        LogFormat::Json => subscriber.json().finish().with(filter).init(),
    }
    Ok(())
}
