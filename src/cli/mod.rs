//! The commands. Only this module and `main` print.

mod archive;
mod check;
mod config;
mod error;
mod healthcheck;
mod opml;
mod serve;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;

use crate::channels::fetch_page;
use crate::clock;
use crate::config::{CheckArgs, Cli, Command, GetArgs, Setting, UpstreamArgs, feed_options};
use crate::feed;
use crate::feed::context::FeedContext;
use crate::feed::filter::Filter;
use crate::feed::options::{FeedOptions, Full};
use crate::feed::select::{Scan, Selection};
use crate::media::signed_url::MediaLinker;
use crate::model::article::LinkedArticle;
use crate::model::channel::ChannelName;
use crate::model::post::{PostId, Snapshot};
use crate::telegram::client::Client;
use crate::telegram::error::FetchError;
use crate::telegram::page::{self, PageSource, PreviewPage};
use crate::telegram::telegraph::{article_paths, article_url};
use crate::telegram::typed::{ChannelParseError, parse_channel};
use crate::telegram::upstream::{Priority, RateLimits};
use crate::telegram::url::PageRequest;
use crate::web::{BaseUrl, canonical_path};

pub use error::CliError;

/// The address at which `serve` listens by default, for the self URL of a feed that `get` writes.
const DEFAULT_HOST: &str = "127.0.0.1:8080";

/// Runs one command. `settings` are the settings of `serve` in effect, and `file` is the settings file.
///
/// # Errors
///
/// Why the command failed, with an exit code.
pub async fn run(command: Command, settings: &[Setting], file: Option<&Path>) -> Result<(), CliError> {
    match run_command(command, settings, file).await {
        // The reader of the output has closed it, like `head` does.
        Err(CliError::Output(err)) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

async fn run_command(command: Command, settings: &[Setting], file: Option<&Path>) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => serve::run(*args, settings, file).await,
        Command::Get(args) => get(args).await,
        Command::Check(args) => check(args).await,
        Command::Options => Ok(io::stdout().write_all(feed_options().as_bytes())?),
        Command::Archive(command) => archive::run(command).await,
        Command::Opml(args) => opml::run(args).await,
        Command::Config(command) => config::run(command, settings),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "telewire", &mut text);
            Ok(io::stdout().write_all(&text)?)
        }
        Command::Manual => {
            // The manual page of `telewire help` would be this one.
            let (mut command, mut text) = (Cli::command().disable_help_subcommand(true), Vec::new());
            command.build();
            write_manual(command, &mut text)?;
            Ok(io::stdout().write_all(&text)?)
        }
        Command::Healthcheck(args) => healthcheck::run(&args).await,
    }
}

/// Writes the manual page of a command, followed by those of its subcommands.
fn write_manual(command: clap::Command, out: &mut Vec<u8>) -> io::Result<()> {
    let subcommands: Vec<_> = command.get_subcommands().cloned().collect();
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    // clap_mangen has no name for the section of the notes.
    out.extend(String::from_utf8_lossy(&page).replace(".SH EXTRA", ".SH NOTES").into_bytes());
    subcommands.into_iter().try_for_each(|command| write_manual(command, out))
}

async fn get(args: GetArgs) -> Result<(), CliError> {
    let options = FeedOptions::parse(args.query.trim_start_matches('?'))?;
    let filter = Filter::new(&options)?;
    let page = read_page(args.channel.as_deref(), args.page.as_deref(), &args.upstream).await?;
    let options = options.of_channel(&page.snapshot.channel.name)?;
    let mut scan = Scan::new(options.clone(), filter, clock::now());
    let base_url = base_url(args.public_url);
    let Snapshot { channel, posts, has_older } = page.snapshot;
    scan.look_at(&channel, posts, has_older);
    let mut selection = scan.finish(channel);
    if options.full == Full::Telegraph {
        selection.articles = articles(&selection, &args.upstream).await?;
    }
    let context = FeedContext {
        url: base_url.with_path(&canonical_path(&selection.channel.name, Some(args.format))),
        media: MediaLinker { hosts: args.media.media_hosts, proxy: None, redirects: false },
        options,
        ..FeedContext::default()
    };
    let feed = feed::render(&feed::build(&selection, &context), args.format);
    let mut out = io::stdout().lock();
    out.write_all(&feed)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Fetches the articles on Telegraph that posts link to.
async fn articles(
    selection: &Selection,
    upstream: &UpstreamArgs,
) -> Result<HashMap<PostId, Vec<LinkedArticle>>, CliError> {
    let client = client(upstream)?;
    let mut articles: HashMap<PostId, Vec<LinkedArticle>> = HashMap::new();
    for post in &selection.posts {
        for (number, path) in article_paths(post).iter().enumerate() {
            let failed = |err: FetchError| CliError::Refresh(article_url(path), err.into());
            let article = client.article(path).await.map_err(failed)?;
            let linked = article.map(|article| LinkedArticle { number, article });
            articles.entry(post.id).or_default().extend(linked);
        }
    }
    Ok(articles)
}

fn client(upstream: &UpstreamArgs) -> Result<Client, CliError> {
    Client::new(&upstream.client_options(RateLimits::default())).map_err(CliError::cannot_start)
}

/// Returns the base URL, by default that of a service with default settings.
fn base_url(public_url: Option<BaseUrl>) -> BaseUrl {
    public_url.unwrap_or_else(|| BaseUrl::of_host("http", DEFAULT_HOST))
}

async fn check(args: CheckArgs) -> Result<(), CliError> {
    let page = read_page(args.channel.as_deref(), args.page.as_deref(), &args.upstream).await?;
    let mut out = io::stdout().lock();
    out.write_all(check::report(&page).as_bytes())?;
    out.flush()?;
    if check::is_complete(&page) { Ok(()) } else { Err(CliError::IncompletePage) }
}

/// Reads the page that `get` and `check` are about, from a file or from Telegram.
async fn read_page(
    typed: Option<&str>,
    file: Option<&Path>,
    upstream: &UpstreamArgs,
) -> Result<PreviewPage, CliError> {
    let name: Option<ChannelName> = typed.map(parse_channel).transpose()?;
    if let Some(path) = file {
        let html = std::fs::read(path).map_err(|err| CliError::File { path: path.to_owned(), err })?;
        let page = page::parse(&String::from_utf8_lossy(&html), PageSource::Saved(name.as_ref()));
        return page.map_err(|err| CliError::SavedPage { path: path.to_owned(), err });
    }
    let Some(name) = name else {
        // Unreachable: clap requires a channel or a page.
        return Err(ChannelParseError::NotAChannel(String::new()).into());
    };
    fetch_page(&client(upstream)?, &name, PageRequest::Newest, Priority::Low, None)
        .await
        .map_err(|err| CliError::Refresh(name.to_string(), err))
}
