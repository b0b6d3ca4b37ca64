//! Articles on Telegraph: their URLs, and the JSON of its API (`getPage`).

use std::collections::BTreeSet;
use std::slice;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use url::Url;

use super::text::{MAX_BLOCK_DEPTH, block, inline, object};
use crate::model::article::Article;
use crate::model::post::{Media, NamedLink, Post, Video, VideoKind};
use crate::model::rich_text::{EntityKind, RichText};

/// The default of `--telegraph`.
pub const API: &str = "https://api.telegra.ph";

/// The hosts of articles; all of them show the same ones. The first is the usual one, which has their files too.
const HOSTS: [&str; 3] = ["telegra.ph", "te.legra.ph", "graph.org"];

/// The most articles of one post.
const MAX_ARTICLES: usize = 5;

/// The longest path of an article, in bytes. It is made of the title, which has 256 characters at most.
const MAX_PATH_BYTES: usize = 1024;

/// Why an answer has no article.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// Telegraph asks to wait.
    #[error("Telegraph receives too many requests; it asks to wait {} seconds", .0.as_secs())]
    FloodWait(Duration),
    /// The answer is not what the API documents. Holds the cause.
    #[error("the answer is not an article: {0}")]
    Invalid(String),
}

/// Returns the paths of the articles that a post links to, in their order: `Title-06-01`, as in their URLs.
#[must_use]
pub fn article_paths(post: &Post) -> Vec<String> {
    let text = post.full_text();
    let links = text.entities().iter().filter_map(|entity| match &entity.kind {
        EntityKind::Link(url) => Some(&**url),
        _ => None,
    });
    let buttons = post.buttons.iter().filter_map(|button| button.url.as_deref());
    let urls = links.chain(post.preview.iter().map(|preview| preview.url.as_str())).chain(buttons);
    let mut seen = BTreeSet::new();
    urls.filter_map(article_path).filter(|path| seen.insert(path.clone())).take(MAX_ARTICLES).collect()
}

/// Returns the path of the article at a URL. Paths end with the month and the day of publication, and a number if there are
/// several with that title.
#[must_use]
pub fn article_path(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let is_telegraph = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| HOSTS.contains(&host.trim_start_matches("www.")));
    let path = url.path().trim_matches('/');
    let number = |part: Option<&str>, max_digits| {
        part.is_some_and(|part| {
            (1..=max_digits).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let mut parts = path.rsplit('-');
    let ends_with_date = number(parts.next(), 6) && number(parts.next(), 2);
    let is_path = !path.contains('/') && path.len() <= MAX_PATH_BYTES && ends_with_date;
    (is_telegraph && is_path).then(|| path.to_owned())
}

/// Returns the permanent URL of an article.
#[must_use]
pub fn article_url(path: &str) -> String {
    format!("https://{}/{path}", HOSTS[0])
}

#[derive(Deserialize)]
struct Answer {
    result: Option<Page>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    title: String,
    author_name: Option<String>,
    author_url: Option<String>,
    content: Option<Vec<Value>>,
}

/// Parses the API's answer about the article with this path; `None` if there is no such article.
///
/// # Errors
///
/// See [`AnswerError`].
pub fn parse(json: &str, path: &str) -> Result<Option<Article>, AnswerError> {
    let answer: Answer = serde_json::from_str(json).map_err(|err| AnswerError::Invalid(err.to_string()))?;
    let page = match (answer.result, answer.error) {
        (Some(page), _) => page,
        (None, Some(error)) if error == "PAGE_NOT_FOUND" => return Ok(None),
        (None, Some(error)) => {
            let seconds = error.strip_prefix("FLOOD_WAIT_").and_then(|seconds| seconds.parse().ok());
            return Err(seconds.map_or(AnswerError::Invalid(super::error::excerpt(&error)), |seconds| {
                AnswerError::FloodWait(Duration::from_secs(seconds))
            }));
        }
        (None, None) => return Err(AnswerError::Invalid("it has neither a result nor an error".into())),
    };
    let url = article_url(path);
    let mut parser = NodeParser { url: &url, media: Vec::new(), depth: 0, is_preformatted: false };
    let mut text = RichText::default();
    parser.nodes(page.content.as_deref().unwrap_or_default(), &mut text);
    let (text, media) = (text.trimmed(), parser.media);
    let author = page
        .author_name
        .filter(|name| !name.trim().is_empty())
        .map(|name| NamedLink { name, url: page.author_url.filter(|url| !url.is_empty()) });
    Ok(Some(Article { url, title: page.title, author, text, media }))
}

/// Turns nodes into rich text. Unknown tags are wrappers, and parts of another shape are ignored.
struct NodeParser<'a> {
    /// The URL of the article, to resolve relative ones.
    url: &'a str,
    media: Vec<Media>,
    /// How many blocks of other blocks are around the current position.
    depth: usize,
    is_preformatted: bool,
}

impl NodeParser<'_> {
    fn nodes(&mut self, nodes: &[Value], text: &mut RichText) {
        for node in nodes {
            match node {
                Value::String(part) if self.is_preformatted => text.push_str(part),
                Value::String(part) => inline(part, text),
                node => self.element(node, text),
            }
        }
    }

    fn element(&mut self, node: &Value, text: &mut RichText) {
        let Some(tag) = node["tag"].as_str() else { return };
        let children = node["children"].as_array().map(Vec::as_slice).unwrap_or_default();
        let attribute = |name: &str| node["attrs"][name].as_str();
        let kind = match tag {
            "br" => return text.push_str("\n"),
            "hr" => return object(EntityKind::Rule, text),
            "b" | "strong" => EntityKind::Bold,
            "i" | "em" => EntityKind::Italic,
            "u" => EntityKind::Underline,
            "s" => EntityKind::Strike,
            "code" => EntityKind::Code,
            "a" => match attribute("href").and_then(|href| self.resolve(href)) {
                Some(url) => EntityKind::Link(url.into()),
                None => return self.nodes(children, text),
            },
            "p" => return self.lines(2, children, text),
            "h3" => return block(EntityKind::Heading(3), text, |text| self.nodes(children, text)),
            "h4" => return block(EntityKind::Heading(4), text, |text| self.nodes(children, text)),
            "aside" | "blockquote" => return self.nested(EntityKind::Quote, children, text, Self::nodes),
            "ul" => return self.nested(EntityKind::List(None), children, text, Self::list),
            "ol" => return self.nested(EntityKind::List(Some(1)), children, text, Self::list),
            "figcaption" => return block(EntityKind::Caption, text, |text| self.nodes(children, text)),
            "pre" => {
                let is_nested = std::mem::replace(&mut self.is_preformatted, true);
                block(EntityKind::Pre, text, |text| self.nodes(children, text));
                self.is_preformatted = is_nested;
                return;
            }
            "img" | "video" => return self.medium(tag, attribute("src"), text),
            "iframe" => return self.embedded(attribute("src"), text),
            "figure" | "li" => return self.lines(1, children, text),
            _ => return self.nodes(children, text),
        };
        text.entity(kind, |text| self.nodes(children, text));
    }

    /// Parses nodes that are separated from their neighbours by `n` line breaks.
    fn lines(&mut self, n: usize, nodes: &[Value], text: &mut RichText) {
        text.break_line(n);
        self.nodes(nodes, text);
        text.break_line(n);
    }

    /// Parses the items of a list. Outside of a list, an item is a line.
    fn list(&mut self, nodes: &[Value], text: &mut RichText) {
        for node in nodes {
            match node["children"].as_array() {
                Some(children) if node["tag"] == "li" => {
                    block(EntityKind::Item, text, |text| self.nodes(children, text));
                }
                _ => self.nodes(slice::from_ref(node), text),
            }
        }
    }

    /// Parses a block that contains blocks, whose content is parsed by `content`; as lines if it is nested too deep.
    fn nested(
        &mut self,
        kind: EntityKind,
        nodes: &[Value],
        text: &mut RichText,
        content: fn(&mut Self, &[Value], &mut RichText),
    ) {
        if self.depth == MAX_BLOCK_DEPTH {
            return self.lines(1, nodes, text);
        }
        self.depth += 1;
        block(kind, text, |text| content(self, nodes, text));
        self.depth -= 1;
    }

    fn medium(&mut self, tag: &str, src: Option<&str>, text: &mut RichText) {
        let Some(url) = src.and_then(|src| self.resolve(src)) else { return };
        self.media.push(if tag == "img" {
            Media::Photo { url: Some(url), file: None, size: None, item: None }
        } else {
            let (poster, seconds, size, item) = (None, None, None, None);
            Media::Video(Video { url: Some(url), poster, seconds, size, kind: VideoKind::Plain, item })
        });
        object(EntityKind::Figure(self.media.len() - 1), text);
    }

    /// Writes a link to what is embedded, because most readers drop frames: `/embed/youtube?url=…` is a player of that URL.
    fn embedded(&mut self, src: Option<&str>, text: &mut RichText) {
        let Some(url) = src.and_then(|src| self.resolve(src)) else { return };
        let page = Url::parse(&url).ok().filter(|url| url.path().starts_with("/embed/"));
        let page =
            page.and_then(|page| Some(page.query_pairs().find(|(name, _)| name == "url")?.1.into_owned()));
        let url = page.unwrap_or(url);
        text.break_line(1);
        text.entity(EntityKind::Link(url.as_str().into()), |text| text.push_str(&url));
        text.break_line(1);
    }

    /// Makes a URL absolute. Files of all hosts are on the first.
    fn resolve(&self, url: &str) -> Option<String> {
        let mut url = Url::parse(self.url).and_then(|base| base.join(url.trim())).ok()?;
        if url.path().starts_with("/file/") && url.host_str().is_some_and(|host| HOSTS.contains(&host)) {
            url.set_host(Some(HOSTS[0])).ok()?;
        }
        Some(url.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(content: &str) -> Article {
        let json = format!(r#"{{"ok":true,"result":{{"title":"T","content":{content}}}}}"#);
        parse(&json, "T-06-01").unwrap().unwrap()
    }

    #[test]
    fn articles_are_recognized_by_host_and_date() {
        for (url, path) in [
            ("https://telegra.ph/Low-tide-06-01", Some("Low-tide-06-01")),
            ("http://te.legra.ph/Low-tide-06-01-2?x#y", Some("Low-tide-06-01-2")),
            ("https://graph.org/%D0%9F-06-01/", Some("%D0%9F-06-01")),
            ("https://telegra.ph/file/abc-06-01.jpg", None),
            ("https://telegra.ph/api", None),
            ("https://telegra.ph/", None),
            ("https://telegra.ph.example.org/Low-tide-06-01", None),
            ("ftp://telegra.ph/Low-tide-06-01", None),
        ] {
            assert_eq!(article_path(url).as_deref(), path, "{url}");
        }
    }

    #[test]
    fn answers_without_an_article_are_told_apart() {
        let answer = |error: &str| parse(&format!(r#"{{"ok":false,"error":"{error}"}}"#), "T-06-01");
        assert_eq!(answer("PAGE_NOT_FOUND"), Ok(None));
        assert_eq!(answer("FLOOD_WAIT_7"), Err(AnswerError::FloodWait(Duration::from_secs(7))));
        assert_eq!(answer("OTHER"), Err(AnswerError::Invalid("OTHER".into())));
        for json in ["", "<html>", "{}", "[]", r#"{"result":{}}"#] {
            assert!(matches!(parse(json, "T-06-01"), Err(AnswerError::Invalid(_))), "{json}");
        }
        let deep = format!("{}\"x\"{}", r#"[{"tag":"b","children":"#.repeat(5000), "}]".repeat(5000));
        let json = format!(r#"{{"ok":true,"result":{{"title":"T","content":{deep}}}}}"#);
        assert!(matches!(parse(&json, "T-06-01"), Err(AnswerError::Invalid(_))));
    }

    #[test]
    fn urls_of_files_and_players_are_absolute() {
        let article = parsed(
            r##"[{"tag":"img","attrs":{"src":"/file/a.jpg"}},{"tag":"img","attrs":{"src":"https://graph.org/file/b.png"}},
                {"tag":"video","attrs":{"src":"https://example.org/c.mp4"}},
                {"tag":"iframe","attrs":{"src":"/embed/youtube?url=https%3A%2F%2Fyoutu.be%2Fx%3Fa%3D1"}},
                {"tag":"iframe","attrs":{"src":"https://player.example.org/y"}},{"tag":"img"},
                {"tag":"p","children":[{"tag":"a","attrs":{"href":"/Other-06-02"},"children":["other"]},
                {"tag":"a","attrs":{"href":"#part"},"children":["part"]}]}]"##,
        );
        let url = |medium: &Media| match medium {
            Media::Photo { url, .. } => url.clone().unwrap(),
            Media::Video(video) => video.url.clone().unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            article.media.iter().map(url).collect::<Vec<_>>(),
            ["https://telegra.ph/file/a.jpg", "https://telegra.ph/file/b.png", "https://example.org/c.mp4"]
        );
        let links = article.text.entities().iter().filter_map(|entity| match &entity.kind {
            EntityKind::Link(url) => Some(&**url),
            _ => None,
        });
        assert_eq!(
            links.collect::<Vec<_>>(),
            [
                "https://youtu.be/x?a=1",
                "https://player.example.org/y",
                "https://telegra.ph/Other-06-02",
                "https://telegra.ph/T-06-01#part"
            ]
        );
    }

    #[test]
    fn parts_of_another_shape_are_ignored() {
        let article = parsed(
            r#"[null,7,{"tag":3},{"children":["lost"]},{"tag":"marquee","children":["kept ",{"tag":"b","children":"x"}]},
                {"tag":"li","children":["item"]},{"tag":"blockquote","children":[{"tag":"li","children":["quoted"]}]},
                {"tag":"p","attrs":[],"children":["end"]}]"#,
        );
        assert_eq!(article.text.text(), "kept \nitem\nquoted\n\nend");
        assert!(article.text.entities().iter().all(|entity| entity.kind != EntityKind::Item));
    }
}
