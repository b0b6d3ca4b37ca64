//! The report of `telewire check`: the parsed parts of a preview page, and unknown markup.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::model::post::{Media, Post, Snapshot, StickerFormat, VideoKind};
use crate::model::rich_text::EntityKind;
use crate::telegram::page::PreviewPage;

/// Returns whether feeds contain everything that the page shows.
///
/// Of unknown markup, feeds contain the text. Something is missing if unknown markup also shows pictures or other
/// content, or if a post was skipped.
pub(super) fn is_complete(page: &PreviewPage) -> bool {
    let is_incomplete = |post: &Post| post.unknown.iter().any(|part| part.more_than_text);
    page.skipped.is_empty() && !page.snapshot.posts.iter().any(is_incomplete)
}

/// Returns the report.
pub(super) fn report(page: &PreviewPage) -> String {
    let mut out = String::new();
    match write_report(&mut out, page) {
        // Control characters in a page could change the terminal.
        Ok(()) => out.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}"),
        Err(fmt::Error) => unreachable!("writing to a String does not fail"),
    }
}

fn write_report(out: &mut String, page: &PreviewPage) -> fmt::Result {
    let Snapshot { channel, posts, .. } = &page.snapshot;
    writeln!(out, "{} (@{})", channel.title, channel.name)?;
    for (is_set, label) in [(channel.verified, "verified"), (channel.photo.is_some(), "photo")] {
        writeln!(out, "  {label}: {}", if is_set { "yes" } else { "no" })?;
    }
    if let Some(id) = channel.id {
        writeln!(out, "  id: {id}")?;
    }
    if let Some(warning) = &channel.warning {
        writeln!(out, "  Telegram warns: {warning}")?;
    }
    for counter in &channel.counters {
        writeln!(out, "  {}: {}", counter.what, counter.n)?;
    }
    if let Some(older) = page.older {
        writeln!(out, "  older posts: before {older}")?;
    }
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    writeln!(out, "posts: {}", posts.len())?;
    for post in posts {
        let kinds = kinds(post);
        writeln!(out, "  {} {} {}", post.id, post.published, counted(&kinds))?;
        for (kind, n) in kinds {
            *totals.entry(kind).or_default() += n;
        }
    }
    writeln!(out, "total: {}", counted(&totals))?;
    writeln!(out, "skipped posts: {}", page.skipped.len())?;
    for skipped in &page.skipped {
        writeln!(out, "  {}: {:?}", skipped.error, skipped.text)?;
    }
    let unknown = posts.iter().map(|post| post.unknown.len()).sum::<usize>() + page.unknown_tags.len();
    writeln!(out, "unknown markup: {unknown}")?;
    for post in posts {
        for part in &post.unknown {
            let result = if part.more_than_text { "partly lost" } else { "kept as text" };
            writeln!(out, "  {} {}: {result}", post.id, part.markup)?;
        }
    }
    for (post, tag) in &page.unknown_tags {
        writeln!(out, "  {post} <{tag}> in a text: kept as text")?;
    }
    Ok(())
}

fn counted(kinds: &BTreeMap<&str, usize>) -> String {
    let each = kinds.iter().map(|(kind, n)| if *n == 1 { (*kind).to_owned() } else { format!("{kind} {n}") });
    each.collect::<Vec<_>>().join(", ")
}

/// Counts the parts of a post by kind.
fn kinds(post: &Post) -> BTreeMap<&'static str, usize> {
    let mut kinds: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut add = |kind, n: usize| {
        if n > 0 {
            *kinds.entry(kind).or_default() += n;
        }
    };
    for (kind, is_present) in [
        ("text", !post.full_text().is_empty()),
        ("text above media", post.text_above_media),
        ("service", post.service),
        ("edited", post.edited),
        ("signature", post.signature.is_some()),
        ("via bot", post.via_bot.is_some()),
        ("forward", post.forward.is_some()),
        ("reply", post.reply.is_some()),
        ("poll", post.poll.is_some()),
        ("link preview", post.preview.is_some()),
        ("only in Telegram", post.only_in_telegram.is_some()),
        ("views", post.views.is_some()),
    ] {
        add(kind, usize::from(is_present));
    }
    add("music", post.documents.iter().filter(|document| document.audio).count());
    add("file", post.documents.iter().filter(|document| !document.audio).count());
    add("button", post.buttons.len());
    add("reaction", post.reactions.len());
    add("unknown part", post.unknown.len());
    for medium in &post.media {
        add(medium_kind(medium), 1);
    }
    for entity in post.full_text().entities() {
        add(entity_kind(&entity.kind), 1);
    }
    kinds
}

fn medium_kind(medium: &Media) -> &'static str {
    match medium {
        Media::Photo { .. } => "photo",
        Media::Video(video) if video.url.is_none() => "video too big",
        Media::Video(video) => match video.kind {
            VideoKind::Plain => "video",
            VideoKind::Animation => "GIF",
            VideoKind::Round => "round video",
        },
        Media::Voice { .. } => "voice",
        Media::Sticker { format, .. } => match format {
            StickerFormat::Webp => "sticker",
            StickerFormat::Tgs => "animated sticker",
            StickerFormat::Webm => "video sticker",
        },
        Media::Location { title: None, .. } => "location",
        Media::Location { .. } => "venue",
        Media::Contact { .. } => "contact",
        Media::Game(_) => "game",
        Media::Invoice(_) => "invoice",
    }
}

fn entity_kind(kind: &EntityKind) -> &'static str {
    match kind {
        EntityKind::Bold => "bold",
        EntityKind::Italic => "italic",
        EntityKind::Underline => "underline",
        EntityKind::Strike => "strike",
        EntityKind::Subscript => "subscript",
        EntityKind::Superscript => "superscript",
        EntityKind::Spoiler => "spoiler",
        EntityKind::Quote => "quote",
        EntityKind::Code => "code",
        EntityKind::Pre => "pre",
        EntityKind::Link(_) => "link",
        EntityKind::Hashtag(_) => "hashtag",
        EntityKind::Heading(_) => "heading",
        EntityKind::List(_) => "list",
        EntityKind::Item => "list item",
        EntityKind::Table => "table",
        EntityKind::Row => "table row",
        EntityKind::Cell { .. } => "table cell",
        EntityKind::Details => "details",
        EntityKind::Summary => "summary",
        EntityKind::Figure(_) => "figure",
        EntityKind::Caption => "caption",
        EntityKind::Rule => "rule",
    }
}
