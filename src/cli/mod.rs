//! The commands. Only here, and in `main`, something is printed.

mod check;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

use crate::channel::ChannelName;
use crate::config::{CheckArgs, Command, GetArgs, HealthcheckArgs, PublicUrl, ServeArgs, UpstreamArgs};
use crate::feed;
use crate::feed::options::FeedOptions;
use crate::refresh::{self, Channels, Freshness, RefreshError, Samples};
use crate::telegram::address::{self, AddressError};
use crate::telegram::client::{Client, Politeness};
use crate::telegram::page::{self, Page, Source};
use crate::web;

/// Why a command did not do what it was asked. Each has its exit code, listed in `--help`.
#[derive(Debug, Error)]
pub enum CliError {
    /// Something on the page is not carried.
    #[error("not everything on this page is understood: see the lines above")]
    NotCarried,
    /// The service does not answer, or not well.
    #[error("the service at {0} is not well: {1}")]
    Unhealthy(String, String),
    /// The service cannot start.
    #[error("cannot serve: {0}")]
    CannotServe(String),
    /// What was typed names no channel.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The channel has no posts to read.
    #[error("{0}: {1}")]
    Refresh(String, RefreshError),
    /// A file cannot be read.
    #[error("cannot read {}: {}", path.display(), err)]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        err: io::Error,
    },
    /// Standard output is not there.
    #[error("cannot write the feed: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotCarried | Self::Unhealthy(..) | Self::CannotServe(_) => 1,
            Self::Address(_) => 3,
            Self::Refresh(_, RefreshError::NoPosts(why)) if why.is_telegrams_word() => 4,
            Self::Refresh(..) => 5,
            Self::File { .. } | Self::Output(_) => 6,
        }
    }
}

/// Runs one command to its end.
///
/// # Errors
///
/// What kept it from its end; to be printed with its exit code.
pub async fn run(command: Command) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => serve(args).await,
        Command::Get(args) => get(args).await,
        Command::Check(args) => check(args).await,
        Command::Healthcheck(args) => healthcheck(&args).await,
    }
}

async fn serve(mut args: ServeArgs) -> Result<(), CliError> {
    let cannot = |err: &dyn std::error::Error| CliError::CannotServe(err.to_string());
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|err| CliError::CannotServe(format!("{} cannot be listened on: {err}", args.listen)))?;
    args.listen = listener.local_addr().map_err(|err| cannot(&err))?;
    let politeness = Politeness { rate: args.rate, burst: args.burst, in_flight: args.in_flight };
    let client = Client::new(args.upstream.client_options(politeness)).map_err(|err| cannot(&err))?;
    let samples = Samples::new(&args.data_dir);
    let freshness = Freshness { min: args.fresh_min, max: args.fresh_max };
    let channels = Channels::new(client, args.cache_size, freshness, samples);
    let app = web::App::new(channels, &args);
    tracing::info!("serving on http://{}", args.listen);
    web::serve(listener, app, shutdown).await.map_err(|err| cannot(&err))
}

/// Ends when the program is asked to stop.
async fn shutdown() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<Option<()>>();
    tokio::select! {
        _ = interrupt => {}
        _ = terminate => {}
    }
    tracing::info!("stopping");
}

async fn get(args: GetArgs) -> Result<(), CliError> {
    let page = read(args.channel.as_deref(), args.page.as_deref(), &args.upstream).await?;
    let channel = &page.snapshot.channel.name;
    // A feed names its own address; by default the one that `serve` on this machine would give it.
    let base = args.public_url.unwrap_or_else(|| PublicUrl::of_host("http", "127.0.0.1:8080"));
    let options = FeedOptions {
        self_url: format!("{base}/{channel}/{}", args.format.name()),
        media_hosts: args.media.media_hosts,
    };
    let feed = feed::render(&feed::build(&page.snapshot, &options), args.format);
    let mut out = io::stdout().lock();
    out.write_all(&feed)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

async fn check(args: CheckArgs) -> Result<(), CliError> {
    let page = read(args.channel.as_deref(), args.page.as_deref(), &args.upstream).await?;
    let mut out = io::stdout().lock();
    out.write_all(check::report(&page).as_bytes())?;
    out.flush()?;
    if check::carries_everything(&page) { Ok(()) } else { Err(CliError::NotCarried) }
}

/// Reads the page that `get` and `check` were pointed at.
async fn read(typed: Option<&str>, file: Option<&Path>, upstream: &UpstreamArgs) -> Result<Page, CliError> {
    let name: Option<ChannelName> = typed.map(address::parse_channel).transpose()?;
    if let Some(path) = file {
        let html = std::fs::read(path).map_err(|err| CliError::File { path: path.to_owned(), err })?;
        let page = page::parse(&String::from_utf8_lossy(&html), Source::Saved(name.as_ref()));
        let of = path.display().to_string();
        return page.map_err(|why| CliError::Refresh(of, RefreshError::NoPosts(why)));
    }
    let Some(name) = name else {
        // Without a page clap demands a channel.
        return Err(AddressError::NotAChannel(String::new()).into());
    };
    let client = Client::new(upstream.client_options(Politeness::default()))
        .map_err(|err| CliError::CannotServe(err.to_string()))?;
    refresh::refresh(&client, &name, None).await.map_err(|err| CliError::Refresh(name.to_string(), err))
}

async fn healthcheck(args: &HealthcheckArgs) -> Result<(), CliError> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut address = args.listen;
    // Listening on every address, it is reached on this one too.
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /-/healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        Ok::<_, io::Error>(status)
    };
    let unhealthy = |why: String| CliError::Unhealthy(address.to_string(), why);
    match tokio::time::timeout(Duration::from_secs(3), ask).await {
        Ok(Ok(status)) if status.ends_with(b" 200") => Ok(()),
        Ok(Ok(status)) => Err(unhealthy(String::from_utf8_lossy(&status).into_owned())),
        Ok(Err(err)) => Err(unhealthy(err.to_string())),
        Err(_) => Err(unhealthy("it does not answer".to_owned())),
    }
}
