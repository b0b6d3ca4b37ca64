//! Pictures, videos and other media in the body of a post.
//!
//! Each medium is a `<figure>` with a fallback: a video contains a link for readers without a player, and a file that
//! must not be embedded is only linked.

use url::Url;

use super::html;
use crate::feed::media_links::MediaLinks;
use crate::feed::title;
use crate::language::FeedWords;
use crate::model::media_file::FileKind;
use crate::model::post::{GameOrInvoice, Media, Size, StickerFormat, Video};

/// Writes one medium. `permalink` is the target of links for media that can be seen in Telegram only.
pub(super) fn write(
    out: &mut String,
    medium: &Media,
    permalink: &str,
    links: MediaLinks<'_>,
    words: &FeedWords,
) {
    match medium {
        Media::Photo { url, size, item, .. } => {
            let in_telegram = html::item_url(permalink, *item);
            picture(out, words.photo, url.as_deref(), *size, PicturePage::Fallback(&in_telegram), links);
        }
        Media::Video(medium) => video(out, medium, &html::item_url(permalink, medium.item), links, words),
        Media::Voice { url, seconds } => voice(out, url.as_deref(), *seconds, permalink, links, words),
        Media::Sticker { url, format, still } => {
            sticker(out, url, *format, still.as_deref(), permalink, links, words);
        }
        Media::Location { url, map, title, address } => {
            location(out, url, map.as_deref(), [title.as_deref(), address.as_deref()], links, words);
        }
        Media::Contact { name, phone } => contact(out, name, phone.as_deref()),
        Media::Game(medium) | Media::Invoice(medium) => offer(out, medium, permalink, links, words),
    }
}

/// Writes the caption at the end of a figure.
fn caption(out: &mut String, fill: impl FnOnce(&mut String)) {
    out.push('\n');
    html::block(out, "figcaption", fill);
}

/// The page of a picture.
#[derive(Clone, Copy)]
pub(super) enum PicturePage<'a> {
    /// The picture links to it.
    Linked(&'a str),
    /// Only a link in place of a picture that is not embedded leads to it; see [`MediaLinks::link`].
    Fallback(&'a str),
}

/// Writes a figure with a picture, or with a link in its place.
pub(super) fn picture(
    out: &mut String,
    label: &str,
    url: Option<&str>,
    size: Option<Size>,
    page: PicturePage<'_>,
    links: MediaLinks<'_>,
) {
    html::group(out, "figure", |out| linked_picture(out, label, url, size, page, links));
}

/// Writes a figure with a video player, or a link if the video cannot be embedded.
pub(super) fn video(
    out: &mut String,
    video: &Video,
    permalink: &str,
    links: MediaLinks<'_>,
    words: &FeedWords,
) {
    let label = title::video_label(video.kind, words);
    let poster = video.poster.as_deref();
    html::group(out, "figure", |out| {
        let source = video.url.as_deref().and_then(|url| links.url(FileKind::Mp4, url));
        if let Some(source) = &source {
            player(out, label, source, poster, video.size, links);
        } else if let Some(poster) = poster {
            linked_picture(out, label, Some(poster), video.size, PicturePage::Linked(permalink), links);
        }
        if source.is_some() && video.seconds.is_none() {
            // The player itself says that it is a video.
            return;
        }
        caption(out, |out| {
            let label_and_time = timed(label, video.seconds, words);
            match &video.url {
                Some(_) if source.is_some() => html::text(out, &label_and_time),
                Some(url) => html::link(out, &label_and_time, Some(links.link(Some(url), permalink))),
                None => {
                    html::text(out, &label_and_time);
                    html::text(out, &format!(" — {}{}", words.too_big, words.comma));
                    html::link(out, words.watch_in_telegram, Some(permalink));
                }
            }
        });
    });
}

/// Writes a `<video>` element. `source` is the final URL; `poster` is Telegram's, and is embedded only if allowed.
///
/// Readers that do not know the element show the poster, with a link to the file. Tiny Tiny RSS adds enclosures to every body
/// that has no `<img>`, which would show the video and its poster again.
fn player(
    out: &mut String,
    label: &str,
    source: &str,
    poster: Option<&str>,
    size: Option<Size>,
    links: MediaLinks<'_>,
) {
    let still = poster.and_then(|url| links.url(FileKind::Jpeg, url));
    out.push_str("<video");
    html::attribute(out, "src", source);
    if let Some(still) = &still {
        html::attribute(out, "poster", still);
    }
    out.push_str(" controls=\"\" preload=\"none\"");
    dimensions(out, size);
    out.push('>');
    match &still {
        Some(still) => {
            html::open_link(out, source);
            img(out, label, still, size);
            html::close(out, "a");
        }
        None => html::link(out, label, Some(source)),
    }
    out.push_str("</video>");
}

/// Writes a picture. One without a URL, or on a host whose files are not embedded, is only a link.
fn linked_picture(
    out: &mut String,
    label: &str,
    url: Option<&str>,
    size: Option<Size>,
    page: PicturePage<'_>,
    links: MediaLinks<'_>,
) {
    let Some(source) = url.and_then(|url| links.url(FileKind::Jpeg, url)) else {
        let target = match page {
            PicturePage::Linked(page) => page,
            PicturePage::Fallback(page) => links.link(url, page),
        };
        return html::link(out, label, Some(target));
    };
    let target = match page {
        PicturePage::Linked(page) if html::is_linkable(page) => Some(page),
        PicturePage::Linked(_) | PicturePage::Fallback(_) => None,
    };
    if let Some(target) = target {
        html::open_link(out, target);
    }
    img(out, label, &source, size);
    if target.is_some() {
        html::close(out, "a");
    }
}

fn img(out: &mut String, label: &str, source: &str, size: Option<Size>) {
    out.push_str("<img");
    html::attribute(out, "src", source);
    html::attribute(out, "alt", label);
    dimensions(out, size);
    out.push('>');
}

fn dimensions(out: &mut String, size: Option<Size>) {
    if let Some(Size { width, height }) = size {
        html::attribute(out, "width", &width.to_string());
        html::attribute(out, "height", &height.to_string());
    }
}

fn voice(
    out: &mut String,
    url: Option<&str>,
    seconds: Option<u32>,
    permalink: &str,
    links: MediaLinks<'_>,
    words: &FeedWords,
) {
    let label_and_time = timed(words.voice_message, seconds, words);
    html::group(out, "figure", |out| {
        let Some(source) = url.and_then(|url| links.url(FileKind::Ogg, url)) else {
            return html::link(out, &label_and_time, Some(permalink));
        };
        out.push_str("<audio");
        html::attribute(out, "src", &source);
        out.push_str(" controls=\"\" preload=\"none\">");
        html::link(out, words.voice_message, Some(&source));
        out.push_str("</audio>");
        if seconds.is_some() {
            caption(out, |out| html::text(out, &label_and_time));
        }
    });
}

fn sticker(
    out: &mut String,
    url: &str,
    format: StickerFormat,
    still: Option<&str>,
    permalink: &str,
    links: MediaLinks<'_>,
    words: &FeedWords,
) {
    html::group(out, "figure", |out| match format {
        StickerFormat::Webp => match links.url(FileKind::Webp, url) {
            Some(source) => img(out, words.sticker, &source, None),
            None => html::link(out, words.sticker, Some(permalink)),
        },
        StickerFormat::Webm if let Some(source) = links.url(FileKind::Webm, url) => {
            player(out, words.sticker, &source, still, None, links);
        }
        StickerFormat::Webm | StickerFormat::Tgs => {
            if let Some(still) = still {
                linked_picture(
                    out,
                    words.sticker,
                    Some(still),
                    None,
                    PicturePage::Fallback(permalink),
                    links,
                );
            }
            // The file is not linked: readers cannot display it, and its URL expires.
            caption(out, |out| html::link(out, words.animated_sticker, Some(permalink)));
        }
    });
}

/// Writes a location: title and address of a venue, and a map with the coordinates. `url` is the page to which Telegram
/// links the map, of a venue often the venue's own page.
fn location(
    out: &mut String,
    url: &str,
    map: Option<&str>,
    venue: [Option<&str>; 2],
    links: MediaLinks<'_>,
    words: &FeedWords,
) {
    let of_url = coordinates(url, ["q", "ll"]);
    let point = of_url.clone().or_else(|| {
        // The URL of the picture has the longitude first.
        let (longitude, latitude) = coordinates(map?, ["ll", "pt"])?;
        Some((latitude, longitude))
    });
    let target = point.as_ref().map_or_else(|| url.to_owned(), |(latitude, longitude)| {
        format!("https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}#map=16/{latitude}/{longitude}")
    });
    let describe = |out: &mut String| {
        for (n, text) in venue.into_iter().flatten().enumerate() {
            html::link(out, text, Some(url).filter(|_| n == 0 && of_url.is_none()));
            out.push_str("<br>");
        }
        html::link(out, words.map, Some(&target));
        if let Some((latitude, longitude)) = &point {
            html::text(out, &format!(" {latitude}, {longitude}"));
        }
    };
    match map.filter(|map| links.url(FileKind::Jpeg, map).is_some()) {
        Some(map) => html::group(out, "figure", |out| {
            linked_picture(out, words.map, Some(map), None, PicturePage::Linked(&target), links);
            caption(out, describe);
        }),
        None => html::block(out, "p", describe),
    }
}

/// Returns the two coordinates in the first of these parameters of a URL that has some.
fn coordinates(url: &str, names: [&str; 2]) -> Option<(String, String)> {
    let url = Url::parse(url).ok()?;
    let is_coordinate = |text: &str| text.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= 180.0);
    names.iter().find_map(|name| {
        let (_, value) = url.query_pairs().find(|(key, _)| key == name)?;
        let mut parts = value.split(',').map(str::trim);
        let (first, second) = (parts.next()?, parts.next()?);
        (is_coordinate(first) && is_coordinate(second)).then(|| (first.to_owned(), second.to_owned()))
    })
}

fn contact(out: &mut String, name: &str, phone: Option<&str>) {
    html::block(out, "p", |out| {
        out.push_str("👤 ");
        html::element(out, "b", |out| html::text(out, name));
        if let Some(phone) = phone {
            let number: String = phone.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
            out.push_str("<br>");
            html::link(out, phone, Some(&format!("tel:{number}")));
        }
    });
}

fn offer(out: &mut String, offer: &GameOrInvoice, permalink: &str, links: MediaLinks<'_>, words: &FeedWords) {
    html::group(out, "blockquote", |out| {
        html::block(out, "p", |out| {
            html::element(out, "b", |out| html::text(out, &offer.title));
            for part in [&offer.description, &offer.note].into_iter().flatten() {
                out.push_str("<br>");
                html::lines(out, part);
            }
        });
        if let Some(image) = &offer.image {
            picture(out, words.picture, Some(image), None, PicturePage::Fallback(permalink), links);
        }
    });
}

fn timed(label: &str, seconds: Option<u32>, words: &FeedWords) -> String {
    seconds
        .map_or_else(|| label.to_owned(), |seconds| format!("{label}{}{}", words.comma, html::clock(seconds)))
}
