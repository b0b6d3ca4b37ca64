//! Texts as the archive has them: checked, and also in the form of earlier versions.

use serde::{Deserialize, Deserializer};

use super::{Entity, RichText};

/// A text from the archive, where it may have been damaged.
#[derive(Deserialize)]
pub(super) struct StoredText {
    text: String,
    entities: Vec<Entity>,
}

impl TryFrom<StoredText> for RichText {
    type Error = &'static str;

    fn try_from(StoredText { text, entities }: StoredText) -> Result<Self, Self::Error> {
        let mut last_start = 0;
        // The ends of the entities around the current one, the outermost first.
        let mut outer_ends: Vec<usize> = Vec::new();
        for Entity { start, end, .. } in &entities {
            while outer_ends.pop_if(|outer| *outer <= *start).is_some() {}
            if last_start > *start || outer_ends.last().is_some_and(|outer| outer < end) {
                return Err("its entities are not nested and sorted");
            }
            if start >= end || !text.is_char_boundary(*start) || !text.is_char_boundary(*end) {
                return Err("an entity is not a range of the text");
            }
            last_start = *start;
            outer_ends.push(*end);
        }
        Ok(Self { text, entities })
    }
}

/// Deserializes a text that was once archived as a plain string.
pub(in crate::model) fn deserialize_rich_or_plain<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RichText>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Plain(String),
        Rich(RichText),
    }
    Ok(Option::deserialize(deserializer)?.map(|stored| match stored {
        Stored::Plain(text) => RichText::from(text.as_str()),
        Stored::Rich(text) => text,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::post::LinkPreview;
    use crate::model::rich_text::EntityKind;

    #[test]
    fn text_archived_before_blocks_is_read() {
        let archived = r#"{"text":"See a\n#b","entities":[{"start":0,"end":5,"kind":"Quote"},
            {"start":4,"end":5,"kind":{"Link":"https://example.org/"}},
            {"start":6,"end":8,"kind":{"Hashtag":"https://example.org/?q=b"}}]}"#;
        let mut expected = RichText::default();
        expected.entity(EntityKind::Quote, |text| {
            text.push_str("See ");
            text.entity(EntityKind::Link("https://example.org/".into()), |text| text.push_str("a"));
        });
        expected.push_str("\n");
        expected.entity(EntityKind::Hashtag("https://example.org/?q=b".into()), |text| text.push_str("#b"));
        assert_eq!(serde_json::from_str::<RichText>(archived).unwrap(), expected);
    }

    #[test]
    fn link_preview_archived_before_blocks_is_read() {
        let archived = |description: &str| {
            let json = format!(
                r#"{{"url":"https://example.org/","site":null,"title":null,"description":{description},
                    "image":null,"video":null,"embed":null}}"#
            );
            serde_json::from_str::<LinkPreview>(&json).unwrap()
        };
        let described = archived(r#""a\nb""#);
        assert_eq!(described.description, Some("a\nb".into()));
        assert_eq!(archived("null").description, None);
        assert_eq!(archived(&serde_json::to_string(&described.description).unwrap()), described);
    }

    #[test]
    fn blocks_are_archived_under_stable_names() {
        let mut text = RichText::default();
        text.entity(EntityKind::List(Some(3)), |text| {
            text.entity(EntityKind::Item, |text| text.push_str("a"));
        });
        text.entity(EntityKind::Cell { header: true, columns: 2, rows: 1 }, |text| text.push_str("b\t"));
        text.entity(EntityKind::Figure(0), |text| text.push_str("\u{fffc}"));
        let archived = "{\"text\":\"ab\\t\u{fffc}\",\"entities\":[\
            {\"start\":0,\"end\":1,\"kind\":{\"List\":3}},{\"start\":0,\"end\":1,\"kind\":\"Item\"},\
            {\"start\":1,\"end\":3,\"kind\":{\"Cell\":{\"header\":true,\"columns\":2,\"rows\":1}}},\
            {\"start\":3,\"end\":6,\"kind\":{\"Figure\":0}}]}";
        assert_eq!(serde_json::to_string(&text).unwrap(), archived);
        assert_eq!(serde_json::from_str::<RichText>(archived).unwrap(), text);
    }

    #[test]
    fn damaged_entities_are_an_error() {
        let read = |ranges: &[(usize, usize)]| {
            let entities =
                ranges.iter().map(|(start, end)| format!(r#"{{"start":{start},"end":{end},"kind":"Bold"}}"#));
            let entities = entities.collect::<Vec<_>>().join(",");
            serde_json::from_str::<RichText>(&format!(r#"{{"text":"aé b","entities":[{entities}]}}"#))
        };
        for ranges in [&[(0, 5), (0, 3), (1, 3), (4, 5)][..], &[(0, 1), (1, 3)], &[]] {
            assert!(read(ranges).is_ok(), "{ranges:?}");
        }
        let damaged =
            [&[(0, 6)][..], &[(2, 3)], &[(0, 2)], &[(1, 1)], &[(3, 1)], &[(0, 3), (1, 4)], &[(1, 3), (0, 1)]];
        for ranges in damaged {
            assert!(read(ranges).is_err(), "{ranges:?}");
        }
    }
}
