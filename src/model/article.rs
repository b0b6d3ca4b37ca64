//! Articles on Telegraph, which posts link to.

use serde::{Deserialize, Serialize};

use crate::model::post::{Media, NamedLink};
use crate::model::rich_text::RichText;

/// An article on Telegraph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Article {
    /// The permanent URL, `https://telegra.ph/PATH`.
    pub url: String,
    /// The title as Telegraph gives it, plain text.
    pub title: String,
    /// The author, as the article names them.
    pub author: Option<NamedLink>,
    /// The text, in which all media are figures.
    pub text: RichText,
    /// The pictures and videos of this and all earlier versions. The position of a file is a part of its URL in feeds, so it
    /// never changes.
    pub media: Vec<Media>,
}

impl Article {
    /// Returns the size as JSON, the form in which it is archived.
    #[must_use]
    pub fn json_len(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |json| json.len())
    }

    /// Returns the article with the media of an earlier version before its own, so that the URLs of both stay valid.
    #[must_use]
    pub fn with_media_of(mut self, earlier: &Self) -> Self {
        let mut media = earlier.media.clone();
        let mut positions = Vec::new();
        for medium in self.media {
            let known = media.iter().position(|known| *known == medium);
            positions.push(known.unwrap_or_else(|| {
                media.push(medium);
                media.len() - 1
            }));
        }
        self.text = self.text.with_figures(|n| positions.get(n).copied().unwrap_or(n));
        Self { media, ..self }
    }
}

/// An article of a post, with its number among those that the post ever linked to, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedArticle {
    /// The permanent number.
    pub number: usize,
    /// The article.
    pub article: Article,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rich_text::{EntityKind, OBJECT};

    fn article(pictures: &[&str]) -> Article {
        let mut text = RichText::default();
        for n in 0..pictures.len() {
            text.entity(EntityKind::Figure(n), |text| text.push_str(OBJECT.encode_utf8(&mut [0; 4])));
        }
        let photo =
            |url: &&str| Media::Photo { url: Some((*url).to_owned()), file: None, size: None, item: None };
        let media = pictures.iter().map(photo).collect();
        Article { url: "u".into(), title: "t".into(), author: None, text, media }
    }

    #[test]
    fn media_keep_their_positions_when_an_article_changes() {
        let edited = article(&["c", "a", "d"]).with_media_of(&article(&["a", "b", "c"]));
        assert_eq!(edited.media, article(&["a", "b", "c", "d"]).media);
        assert_eq!(edited.text.figures().collect::<Vec<_>>(), [2, 0, 3]);
        assert_eq!(edited.clone().with_media_of(&edited), edited);
    }
}
