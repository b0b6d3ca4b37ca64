//! OPML 2.0: lists of subscriptions, written for any reader, and converted so that feeds of other bridges become feeds of
//! telewire.
//!
//! A conversion replaces the `xmlUrl` of outlines and copies everything else byte by byte: readers keep their own
//! attributes, order and formatting.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::SignedDuration;
use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::{BytesStart, Event};
use thiserror::Error;

use super::compat::{self, CompatError, MovedFrom};
use super::xml;
use crate::model::channel::ChannelName;
use crate::telegram::url::channel_url;

/// The media type of OPML.
pub const CONTENT_TYPE: &str = "text/x-opml; charset=utf-8";

/// The largest list that is converted, in bytes: about 20,000 subscriptions.
pub const MAX_OPML_BYTES: usize = 4 << 20;

/// Without given channels, a list has those that were read in this period.
pub const RECENT_SPAN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How deep elements may be nested.
const MAX_DEPTH: usize = 64;

/// A subscription of a list.
#[derive(Clone, Debug)]
pub struct Subscription {
    title: String,
    feed_url: String,
    page_url: String,
}

impl Subscription {
    /// Returns the subscription of a channel with a title in plain text.
    #[must_use]
    pub fn new(name: &ChannelName, title: String, feed_url: String) -> Self {
        Self { title, feed_url, page_url: channel_url(name.as_str()) }
    }

    /// Returns the subscription of a feed of several channels, which has a page here.
    #[must_use]
    pub fn of_several(title: String, feed_url: String, page_url: String) -> Self {
        Self { title, feed_url, page_url }
    }
}

/// Writes a list of subscriptions. A `note`, which has no two hyphens in a row, becomes a comment.
#[must_use]
pub fn write(subscriptions: &[Subscription], note: &str) -> Vec<u8> {
    let outline = |Subscription { title, feed_url, page_url }: &Subscription| {
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        let (title, feed_url, page_url) = (escape(&title), escape(feed_url), escape(page_url));
        format!(
            "    <outline type=\"rss\" text=\"{title}\" title=\"{title}\" xmlUrl=\"{feed_url}\" htmlUrl=\"{page_url}\"/>\n"
        )
    };
    let outlines: String = subscriptions.iter().map(outline).collect();
    let comment = if note.is_empty() { String::new() } else { format!("    <!-- {} -->\n", note.trim()) };
    xml::document(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<opml version=\"2.0\">\n  <head>\n    <title>telewire</title>\n  \
         </head>\n  <body>\n{comment}{outlines}  </body>\n</opml>\n"
    ))
}

/// Why a file is not converted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpmlError {
    /// It has no `opml` element.
    #[error("this is not an OPML file: export the subscriptions of your feed reader as OPML, in UTF-8")]
    NotOpml,
    /// It is not well-formed. Holds the byte offset and the reason.
    #[error("the OPML file is damaged at byte {0}: {1}")]
    Damaged(u64, String),
    /// It declares entities, which can expand without a limit.
    #[error("the OPML file has a document type declaration with entities, which is not accepted")]
    Entities,
    /// It is nested too deeply.
    #[error("the OPML file has more than {MAX_DEPTH} levels")]
    TooDeep,
    /// It is too large.
    #[error("the OPML file is larger than {} MiB", MAX_OPML_BYTES >> 20)]
    TooLarge,
}

/// A converted list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    /// The new list.
    pub opml: Vec<u8>,
    /// The number of feeds in it.
    pub n_feeds: usize,
    /// How many of these were converted.
    pub n_converted: usize,
    /// Parameters without a counterpart, with the number of feeds that had them.
    pub lost: BTreeMap<String, usize>,
    /// Feeds of Telegram channels that could not be converted: their URLs, and why.
    pub failed: Vec<(String, CompatError)>,
}

/// Converts a list: every feed of a Telegram channel at another bridge becomes one under `base_url`, which has no slash at
/// its end. Tokens in the old URLs are for another service, so they are dropped. A feed of which `is_served` accepts no channel
/// stays at its bridge.
///
/// # Errors
///
/// See [`OpmlError`].
pub fn convert(
    opml: &[u8],
    base_url: &str,
    named: &[MovedFrom],
    is_served: impl Fn(&ChannelName) -> bool,
) -> Result<Conversion, OpmlError> {
    let mut conversion = Conversion::default();
    let mut copied = 0;
    for range in feed_urls(opml)? {
        conversion.n_feeds += 1;
        let Ok(raw) = str::from_utf8(&opml[range.clone()]) else { continue };
        // Some programs write `&` without escaping it.
        let url = unescape(raw).unwrap_or_else(|_| raw.replace("&amp;", "&").into());
        match compat::parse_url(&url, named) {
            Ok(Some(moved)) if moved.channels.iter().any(&is_served) => {
                conversion.n_converted += 1;
                for parameter in &moved.lost {
                    *conversion.lost.entry(parameter.clone()).or_default() += 1;
                }
                conversion.opml.extend(&opml[copied..range.start]);
                let url = [base_url, &moved.path_and_query()].concat();
                conversion.opml.extend(escape(&url).as_bytes());
                copied = range.end;
            }
            Ok(_) | Err(CompatError::OtherBridge(_)) => {}
            Err(err) => conversion.failed.push((url.into_owned(), err)),
        }
    }
    conversion.opml.extend(&opml[copied..]);
    Ok(conversion)
}

/// Returns where the values of the `xmlUrl` attributes are, in the order of the file.
fn feed_urls(opml: &[u8]) -> Result<Vec<Range<usize>>, OpmlError> {
    if opml.len() > MAX_OPML_BYTES {
        return Err(OpmlError::TooLarge);
    }
    let mut reader = Reader::from_reader(opml);
    let (mut depth, mut is_opml) = (0, false);
    let mut urls = Vec::new();
    loop {
        let event = reader
            .read_event()
            .map_err(|err| OpmlError::Damaged(reader.error_position(), err.to_string()))?;
        let element = match event {
            Event::Start(element) => {
                depth += 1;
                element
            }
            Event::Empty(element) => element,
            Event::End(_) => {
                depth -= 1;
                continue;
            }
            Event::DocType(declaration) if declaration.contains(&b'[') => return Err(OpmlError::Entities),
            Event::Eof if depth == 0 && is_opml => return Ok(urls),
            Event::Eof if is_opml => {
                return Err(OpmlError::Damaged(reader.buffer_position(), "it ends too early".to_owned()));
            }
            Event::Eof => return Err(OpmlError::NotOpml),
            _ => continue,
        };
        if depth > MAX_DEPTH {
            return Err(OpmlError::TooDeep);
        }
        is_opml |= element.local_name().as_ref().eq_ignore_ascii_case(b"opml");
        if is_opml {
            urls.extend(feed_url(opml, &element));
        }
    }
}

/// Returns where the value of the `xmlUrl` attribute is. Some readers write the attribute in lower case.
fn feed_url(opml: &[u8], element: &BytesStart<'_>) -> Option<Range<usize>> {
    let mut attributes = element.attributes();
    attributes.with_checks(false);
    let mut attributes = attributes.map_while(Result::ok);
    let attribute = attributes.find(|attribute| attribute.key.as_ref().eq_ignore_ascii_case(b"xmlUrl"))?;
    // The event borrows from the file, so the distance between the two is the position.
    let start = (attribute.value.as_ptr() as usize).checked_sub(opml.as_ptr() as usize)?;
    (start + attribute.value.len() <= opml.len()).then(|| start..start + attribute.value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://feeds.example.org";

    fn converted(opml: &str, named: &[&str]) -> Conversion {
        let named: Vec<MovedFrom> = named.iter().map(|from| from.parse().unwrap()).collect();
        convert(opml.as_bytes(), BASE, &named, |_| true).unwrap()
    }

    #[test]
    fn everything_but_the_urls_of_bridges_is_copied_byte_by_byte() {
        let list = "\u{feff}<?xml version='1.0'?>\r\n<!DOCTYPE opml>\r\n<!-- mine --><opml version=\"1.1\" xmlns:x=\"urn:x\">\
            <head><title>A &amp; B</title></head>\r\n<body><outline text='News' x:open=\"1\">\
            <outline  TYPE=\"rss\"\ttext=\"Harbour\" xmlUrl = 'OLD'  x:tags=\"a,b\" htmlUrl=\"https://t.me/s/harbour_news\" />\
            <outline text=\"Other\" xmlUrl=\"https://example.org/feed?a=1&amp;b=2\" category='/x'></outline>\
            <outline xmlurl=\"OLD\"/></outline><![CDATA[ <outline xmlUrl=\"OLD2\"/> ]]></body></opml>\n";
        let old =
            list.replace("\"OLD\"", "\"rsshub://telegram/channel/harbour_news?limit=5&amp;opencc=s2t\"");
        let old = old.replace(
            "'OLD'",
            "' https://rsshub.app/telegram/channel/harbour_news/includeFwd=0&amp;showViaBot=0 '",
        );
        let conversion = converted(&old, &[]);
        let new = list.replace("\"OLD\"", &format!("\"{BASE}/harbour_news/rss?limit=5\""));
        let new = new.replace("'OLD'", &format!("'{BASE}/harbour_news/rss?without=forward&amp;hide=via'"));
        assert_eq!(String::from_utf8(conversion.opml).unwrap(), new);
        assert_eq!((conversion.n_feeds, conversion.n_converted), (3, 2));
        assert_eq!(conversion.lost, BTreeMap::from([("opencc".to_owned(), 1)]));
    }

    #[test]
    fn other_feeds_tokens_and_encodings_are_unchanged() {
        let list = "<opml><body><outline xmlUrl=\"https://example.org/?action=display&amp;bridge=YoutubeBridge\"/>\
            <outline xmlUrl=\"https://example.org/&unknown;\"/><outline xmlUrl=\"\"/><outline text=\"x\"/></body></opml>";
        let conversion = converted(list, &["tgfeed"]);
        assert_eq!((conversion.opml.as_slice(), conversion.n_converted), (list.as_bytes(), 0));
        let secret = "<opml><outline xmlUrl=\"https://h/telegram/channel/harbour_news?key=secret\"/></opml>";
        assert!(!String::from_utf8(converted(secret, &[]).opml).unwrap().contains("secret"));
        let mut windows_1251 =
            b"<?xml version=\"1.0\" encoding=\"windows-1251\"?><opml><outline text=\"\xcd\xee\" \
            xmlUrl=\"rsshub://telegram/channel/harbour_news\"/></opml>"
                .to_vec();
        let conversion = convert(&windows_1251, BASE, &[], |_| true).unwrap();
        let at = windows_1251.windows(9).position(|bytes| bytes == b"rsshub://").unwrap();
        windows_1251.splice(at..at + 38, format!("{BASE}/harbour_news/rss").into_bytes());
        assert_eq!(conversion.opml, windows_1251);
    }

    #[test]
    fn urls_with_unescaped_ampersands_are_converted() {
        let list = |url: &str| format!("<opml><outline xmlUrl=\"{url}\"/></opml>");
        let old = list("rsshub://telegram/channel/harbour_news?limit=5&filterout=x&amp;opencc=s2t");
        let conversion = converted(&old, &[]);
        let new = list(&format!("{BASE}/harbour_news/rss?limit=5&amp;exclude=/x/&amp;case=sensitive"));
        assert_eq!(String::from_utf8(conversion.opml).unwrap(), new);
        let other = list("https://example.org/?a=1&b=2&copy=3");
        assert_eq!(String::from_utf8(converted(&other, &[]).opml).unwrap(), other);
    }

    #[test]
    fn feeds_that_cannot_be_converted_are_reported_and_unchanged() {
        let list = "<opml><outline xmlUrl=\"https://h/telegram/channel/harbour_news?format=ums\"/></opml>";
        let conversion = converted(list, &[]);
        assert_eq!((conversion.opml.as_slice(), conversion.n_converted), (list.as_bytes(), 0));
        let (url, err) = &conversion.failed[0];
        assert_eq!(url, "https://h/telegram/channel/harbour_news?format=ums");
        assert_eq!(*err, CompatError::Format("ums".to_owned()));
    }

    #[test]
    fn hostile_and_damaged_files_are_errors() {
        let bomb = "<!DOCTYPE opml [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><opml>&b;</opml>";
        let deep = format!("<opml>{}{}</opml>", "<outline>".repeat(100_000), "</outline>".repeat(100_000));
        let long = format!("<opml>{}</opml>", " ".repeat(MAX_OPML_BYTES));
        let damaged =
            |text: &str| matches!(convert(text.as_bytes(), BASE, &[], |_| true), Err(OpmlError::Damaged(..)));
        assert_eq!(convert(bomb.as_bytes(), BASE, &[], |_| true), Err(OpmlError::Entities));
        assert_eq!(convert(deep.as_bytes(), BASE, &[], |_| true), Err(OpmlError::TooDeep));
        assert_eq!(convert(long.as_bytes(), BASE, &[], |_| true), Err(OpmlError::TooLarge));
        for text in ["", "x", "<html></html>", "{}", "<rss><channel/></rss>"] {
            assert_eq!(convert(text.as_bytes(), BASE, &[], |_| true), Err(OpmlError::NotOpml), "{text}");
        }
        for text in
            ["<opml><body>", "<opml></body></opml>", "<opml><outline xmlUrl=\"", "<opml></opml></opml>"]
        {
            assert!(damaged(text), "{text}");
        }
        assert!(
            convert(
                &"<opml/>".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
                BASE,
                &[],
                |_| true
            )
            .is_err()
        );
    }

    proptest::proptest! {
        #[test]
        fn damaged_lists_are_copied_or_refused(at in 0_usize..200, bytes in proptest::collection::vec(0_u8.., 0..8)) {
            let mut list = b"<?xml version='1.0'?><opml><head/><body><outline text=\"x &amp; y\"><!-- c --><outline a='&#65;' \
                xmlUrl=\"https://example.org/feed\"/></outline><![CDATA[z]]></body></opml>".to_vec();
            let at = at.min(list.len());
            list.splice(at..(at + bytes.len()).min(list.len()), bytes);
            if let Ok(conversion) = convert(&list, BASE, &[], |_| true) {
                assert_eq!((conversion.opml, conversion.n_converted), (list, 0));
            }
        }
    }

    #[test]
    fn written_list_is_read_by_an_opml_parser() {
        let name = ChannelName::new("harbour_news").unwrap();
        let url = |format: &str| format!("{BASE}/harbour_news/{format}?match=a&limit=5");
        let subscription = |title: &str, format| Subscription::new(&name, title.to_owned(), url(format));
        let list =
            write(&[subscription("Harbour \"News\" <&>\u{0}\n now", "rss"), subscription("x", "atom")], "");
        let read = opml::OPML::from_str(str::from_utf8(&list).unwrap()).unwrap();
        let [first, second] = &read.body.outlines[..] else { panic!("{read:?}") };
        assert_eq!(first.text, "Harbour \"News\" <&> now");
        assert_eq!(
            first.xml_url.as_deref(),
            Some("https://feeds.example.org/harbour_news/rss?match=a&limit=5")
        );
        assert_eq!(second.html_url.as_deref(), Some("https://t.me/harbour_news"));
        assert_eq!((second.r#type.as_deref(), second.text.as_str()), (Some("rss"), "x"));
        assert_eq!(convert(&list, BASE, &[], |_| true).unwrap().opml, list);
    }
}
