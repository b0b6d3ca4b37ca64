//! The commands. Only here, and in `main`, something is printed.

mod archive;
mod check;
mod config;
mod stop;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory;
use futures_util::StreamExt;
use sd_notify::NotifyState;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::archive::{Archive, ArchiveError, Retention};
use crate::channel::ChannelName;
use crate::config::{
    CheckArgs, Cli, Command, FileError, GetArgs, HealthcheckArgs, PlaceArgs, PublicUrl, ServeArgs, Setting,
    UpstreamArgs,
};
use crate::feed;
use crate::feed::options::FeedOptions;
use crate::media::{self, Links, MediaKeys};
use crate::meter::Meter;
use crate::refresh::{self, Channels, Freshness, RefreshError, Samples};
use crate::telegram::address::{self, AddressError, Which};
use crate::telegram::client::{Client, Line, Politeness};
use crate::telegram::page::{self, Page, Source};
use crate::web;

/// When a service prunes its archive: so long after its start, and so often.
const PRUNE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));

/// Bytes of an answer that wait in the system for a client to take them. Left to itself it is megabytes, and a client
/// that takes those slowly looks for minutes as if it took nothing.
const SEND_BUFFER: u32 = 256 << 10;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Why a command did not do what it was asked. Each has its exit code, listed in `--help`.
#[derive(Debug, Error)]
pub enum CliError {
    /// Something on the page is not carried.
    #[error("not everything on this page is understood: see the lines above")]
    NotCarried,
    /// The service does not answer, or not well.
    #[error("the service at {0} is not well: {1}")]
    Unhealthy(String, String),
    /// Settings do not go together.
    #[error("{0}")]
    Settings(&'static str),
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
    /// The file with settings is wrong.
    #[error(transparent)]
    Config(#[from] FileError),
    /// The archive cannot be used.
    #[error("{0}")]
    Archive(ArchiveError),
    /// The channel is not archived.
    #[error("nothing of {0} is archived")]
    NotArchived(String),
    /// Older posts of a channel cannot be read.
    #[error("{0}: {1}")]
    Backfill(String, String),
    /// Standard output is not there.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotCarried | Self::Unhealthy(..) | Self::CannotServe(_) => 1,
            Self::Settings(_) | Self::Config(FileError::Wrong { .. }) => 2,
            Self::Address(_) => 3,
            Self::Refresh(_, RefreshError::NoPosts(why)) if why.is_telegrams_word() => 4,
            Self::NotArchived(_) => 4,
            Self::Refresh(..) | Self::Backfill(..) => 5,
            Self::Archive(_) => 7,
            Self::File { .. } | Self::Config(FileError::Unreadable { .. }) | Self::Output(_) => 6,
        }
    }
}

/// Runs one command to its end. `settings` are those in effect.
///
/// # Errors
///
/// What kept it from its end; to be printed with its exit code.
pub async fn run(command: Command, settings: &[Setting]) -> Result<(), CliError> {
    match run_to_end(command, settings).await {
        // Whoever reads the output has had enough of it.
        Err(CliError::Output(err)) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        end => end,
    }
}

async fn run_to_end(command: Command, settings: &[Setting]) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => serve(*args).await,
        Command::Get(args) => get(args).await,
        Command::Check(args) => check(args).await,
        Command::Archive(command) => archive::run(command).await,
        Command::Config(command) => config::run(command, settings),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "telewire", &mut text);
            Ok(io::stdout().write_all(&text)?)
        }
        Command::Manual => {
            let (mut command, mut text) = (Cli::command(), Vec::new());
            command.build();
            manual(command, &mut text)?;
            Ok(io::stdout().write_all(&text)?)
        }
        Command::Healthcheck(args) => healthcheck(&args).await,
    }
}

/// The manual page of a command, with those of its own commands behind it.
fn manual(command: clap::Command, out: &mut Vec<u8>) -> io::Result<()> {
    let own: Vec<_> = command.get_subcommands().filter(|own| own.get_name() != "help").cloned().collect();
    clap_mangen::Man::new(command).render(out)?;
    own.into_iter().try_for_each(|own| manual(own, out))
}

async fn serve(args: ServeArgs) -> Result<(), CliError> {
    if let Some(why) = args.contradiction() {
        return Err(CliError::Settings(why));
    }
    // First of all: a start can take a while, as when the database is away.
    let mut stops = stop::stops().map_err(cannot_serve)?.inspect(|()| {
        tracing::info!("stopping");
        notify(&[NotifyState::Stopping]);
    });
    let Started { listener, address, app, archive } = tokio::select! {
        started = start(args) => started?,
        _ = stops.next() => return Ok(()),
    };
    tracing::info!("serving on http://{address}");
    notify(&[NotifyState::Ready]);
    web::serve(listener, app, stops).await.map_err(cannot_serve)?;
    archive.close().await;
    Ok(())
}

/// A service that is ready to accept connections.
struct Started {
    listener: TcpListener,
    address: SocketAddr,
    app: web::App,
    archive: Arc<Archive>,
}

async fn start(mut args: ServeArgs) -> Result<Started, CliError> {
    let meter = Arc::new(Meter::install().map_err(cannot_serve)?);
    let listener = listen(args.listen)?;
    let address = address_of(&listener)?;
    args.listen = address;
    let politeness = Politeness { rate: args.rate, burst: args.burst, in_flight: args.in_flight };
    let client = Client::new(args.upstream.client_options(politeness)).map_err(cannot_serve)?;
    let samples = Samples::new(&args.place.data_dir);
    let freshness = Freshness { min: args.fresh_min, max: args.fresh_max };
    let archive = open_archive(&args).await.map_err(cannot_serve)?;
    let gap_pages = usize::from(args.gap_pages);
    let retention = args.retention.retention();
    if retention != Retention::default() {
        tokio::spawn(prune_now_and_then(Arc::clone(&archive), retention));
    }
    let good_for = args.own_media.good_for();
    let channels =
        Channels::new(client, Arc::clone(&archive), args.cache_size, freshness, gap_pages, good_for, samples);
    let keys = media_keys(&args).map_err(cannot_serve)?;
    let app = web::App::new(channels, keys, meter, &args).map_err(cannot_serve)?;
    if let Some(address) = args.metrics_listen {
        let listener = listen(address)?;
        tracing::info!("metrics on http://{}/-/metrics", address_of(&listener)?);
        tokio::spawn(web::serve_metrics(listener, app.clone()));
    }
    Ok(Started { listener, address, app, archive })
}

fn cannot_serve(err: impl std::error::Error) -> CliError {
    CliError::CannotServe(err.to_string())
}

fn listen(address: SocketAddr) -> Result<TcpListener, CliError> {
    let cannot = |err| CliError::CannotServe(format!("{address} cannot be listened on: {err}"));
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let listen = |socket: TcpSocket| {
        socket.set_reuseaddr(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    socket.and_then(listen).map_err(cannot)
}

/// Where it listens, which it chooses itself when the port is 0.
fn address_of(listener: &TcpListener) -> Result<SocketAddr, CliError> {
    listener.local_addr().map_err(cannot_serve)
}

/// Tells systemd, when it has started the service and wants to know.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(state) {
        tracing::debug!("systemd cannot be told: {err}");
    }
}

/// The keys that sign addresses of files.
fn media_keys(args: &ServeArgs) -> io::Result<MediaKeys> {
    if let Some(keys) = &args.own_media.media_key {
        return Ok(keys.clone());
    }
    if args.place.database.is_some() {
        tracing::warn!("every copy of telewire on this database must be given the same --media-key");
    }
    if let Some(keys) = media::in_folder(&args.place.data_dir)? {
        return Ok(keys);
    }
    tracing::warn!("so addresses of pictures and videos are good until the end of this run");
    media::of_this_run()
}

/// Deletes what is not to be kept, soon after the start and every hour.
async fn prune_now_and_then(archive: Arc<Archive>, retention: Retention) {
    let mut times = tokio::time::interval_at(Instant::now() + PRUNE.0, PRUNE.1);
    loop {
        times.tick().await;
        match archive.prune(retention, refresh::now()).await {
            Ok(0) => {}
            Ok(n_pruned) => tracing::info!(posts = n_pruned, "pruned"),
            Err(err) => tracing::warn!("the archive cannot be pruned now: {err}"),
        }
    }
}

/// The archive of a service.
async fn open_archive(args: &ServeArgs) -> Result<Arc<Archive>, ArchiveError> {
    match &args.place {
        PlaceArgs { database: Some(url), .. } => Archive::shared(url, true).await,
        PlaceArgs { .. } if args.no_archive => Archive::in_memory(args.cache_size.as_u64()).await,
        PlaceArgs { data_dir, .. } => Archive::in_folder(data_dir).await,
    }
}

async fn get(args: GetArgs) -> Result<(), CliError> {
    let page = read(args.channel.as_deref(), args.page.as_deref(), &args.upstream).await?;
    let channel = &page.snapshot.channel.name;
    // A feed names its own address; by default the one that `serve` on this machine would give it.
    let base = args.public_url.unwrap_or_else(|| PublicUrl::of_host("http", "127.0.0.1:8080"));
    let options = FeedOptions {
        self_url: format!("{base}/{channel}/{}", args.format.name()),
        media: Links { hosts: args.media.media_hosts, own: None },
        ..FeedOptions::default()
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
    let client = Client::new(upstream.client_options(Politeness::default())).map_err(cannot_serve)?;
    refresh::read_page(&client, &name, Which::Newest, Line::New, None)
        .await
        .map_err(|err| CliError::Refresh(name.to_string(), err))
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
