//! `telewire opml`: writes a list of subscriptions, or converts that of a feed reader.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::CliError;
use super::archive::{print_message, read};
use crate::clock;
use crate::config::{OpmlArgs, OpmlCommand};
use crate::feed::compat::MovedFrom;
use crate::feed::opml::{self, Conversion, MAX_OPML_BYTES, Subscription};
use crate::model::channel::ChannelName;
use crate::telegram::typed::parse_channel;
use crate::web::{BaseUrl, canonical_path};

pub(super) async fn run(args: OpmlArgs) -> Result<(), CliError> {
    match args.command {
        Some(OpmlCommand::Convert { file, moved_from, public_url }) => {
            convert(&file, &super::base_url(public_url), &moved_from)
        }
        None => write(args).await,
    }
}

async fn write(args: OpmlArgs) -> Result<(), CliError> {
    let listed: Vec<(ChannelName, String)> = if args.channels.is_empty() {
        let since = clock::now() - opml::RECENT_SPAN;
        let recent = read(&args.storage, async |archive| Ok(archive.visited_since(since).await?)).await?;
        recent.into_iter().map(|channel| (channel.name, channel.title)).collect()
    } else {
        let names = args.channels.iter().map(|typed| parse_channel(typed)).collect::<Result<Vec<_>, _>>()?;
        names.into_iter().map(|name| (name.clone(), name.to_string())).collect()
    };
    let base_url = super::base_url(args.public_url);
    let subscription = |(name, title): (ChannelName, String)| {
        let feed_url = base_url.with_path(&canonical_path(&name, Some(args.format)));
        Subscription::new(&name, title, feed_url)
    };
    let list = opml::write(&listed.into_iter().map(subscription).collect::<Vec<_>>(), "");
    let mut out = io::stdout().lock();
    out.write_all(&list)?;
    Ok(out.flush()?)
}

fn convert(path: &Path, base_url: &BaseUrl, moved_from: &[MovedFrom]) -> Result<(), CliError> {
    let unreadable = |err| CliError::File { path: path.to_owned(), err };
    let mut file = Vec::new();
    let limit = MAX_OPML_BYTES as u64 + 1;
    File::open(path).and_then(|opened| opened.take(limit).read_to_end(&mut file)).map_err(unreadable)?;
    let converted = opml::convert(&file, &base_url.to_string(), moved_from, |_| true);
    let conversion = converted.map_err(|err| CliError::Opml { path: path.to_owned(), err })?;
    let mut out = io::stdout().lock();
    out.write_all(&conversion.opml)?;
    out.flush()?;
    print_report(&conversion);
    Ok(())
}

/// Reports to standard error what was converted and what was not.
fn print_report(conversion: &Conversion) {
    let Conversion { n_feeds, n_converted, lost, failed, .. } = conversion;
    print_message(&format!("converted {n_converted} of {n_feeds} feeds"));
    for (parameter, n) in lost {
        print_message(&format!("{parameter} has no counterpart, in {n} of them"));
    }
    for (url, err) in failed {
        print_message(&format!("not converted: {url}: {err}"));
    }
}
