//! Tests of the parser and the canonical query.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn canonical(query: &str) -> String {
    FeedOptions::parse(query).unwrap_or_else(|err| panic!("{query}: {err}")).query()
}

#[test]
fn queries_that_mean_the_same_are_equal() {
    for (typed, expected) in [
        ("", ""),
        ("_=123&utm_source=reader&t=5&id=7", ""),
        ("limit=50&before=9", "before=9&limit=50"),
        ("limit=500", "limit=200"),
        ("limit=99999999999999999999999", "limit=200"),
        ("limit=5&limit=6", "limit=6"),
        ("match=Tide%20%20ROPE", "match=rope+tide"),
        ("match=rope+tide&case=insensitive", "match=rope+tide"),
        ("match=b&match=a&match=b", "match=a&match=b"),
        ("match=TON&case=sensitive", "match=TON&case=sensitive"),
        ("case=sensitive&title=auto&link=post&media=auto&spoilers=fold&ids=permalink", ""),
        ("exclude=%22low++tide%22", "exclude=%22low+tide%22"),
        ("exclude=/Low+tide/", "exclude=/Low+tide/"),
        ("tag=%23News,b&tag=a", "tag=a,b,news"),
        ("without=forward&without=service,forward", "without=service,forward"),
        ("hide=buttons,preview", "hide=preview,buttons"),
        ("show=reactions,views&show=views", "show=views,reactions"),
        ("min-age=60s&max-age=14d", "min-age=1m&max-age=2w"),
        ("max-age=86400s", "max-age=1d"),
        ("ids=https://example.org/posts/", "ids=https://example.org/posts/"),
        ("lang=RU&lang=zh", "lang=zh"),
        ("lang=en", ""),
        ("lang=zh&lang=auto", ""),
        // An empty phrase before a word that could be the start of a regular expression.
        ("match=\"\"/\"", "match=%22%22+/%22"),
    ] {
        assert_eq!(canonical(typed), expected, "{typed}");
        assert_eq!(canonical(expected), expected, "canonicalizing twice changes {typed}");
    }
}

#[test]
fn the_servers_language_is_left_out_and_others_are_kept() {
    let canonical = |query| FeedOptions::parse_over("", query, Language::Russian).unwrap().query();
    for (typed, expected) in [("", ""), ("lang=auto", ""), ("lang=ru", ""), ("lang=en", "lang=en")] {
        assert_eq!(canonical(typed), expected, "{typed}");
    }
    let english = FeedOptions::parse_over("", "lang=en", Language::Russian).unwrap();
    assert_eq!((english.language, english.is_default()), (Language::English, false));
    assert!(FeedOptions::parse_over("", "lang=ru", Language::Russian).unwrap().is_default());
}

#[test]
fn empty_value_is_the_default_and_replaces_other_defaults() {
    let defaults = "limit=5&match=a&hide=preview&title=kind&tag=x&ids=preview";
    let over = |query: &str| FeedOptions::parse_over(defaults, query, Language::English).unwrap();
    for (query, canonical) in [
        ("", ""),
        ("limit=&match=&hide=&title=&tag=&ids=", "limit=&match=&tag=&hide=&title=auto&ids="),
        ("hide=&hide=media&match=&match=b", "match=b&hide=media"),
        ("limit=&limit=5", ""),
        ("q=&without=", ""),
    ] {
        assert_eq!(over(query).query_over(&over("")), canonical, "{query}");
        assert_eq!(over(canonical), over(query), "{query}");
    }
    assert!(over("limit=&match=&hide=&title=&tag=&ids=").is_default());
}

#[test]
fn invalid_values_are_errors_that_say_what_is_possible() {
    for (query, part) in [
        ("limit=0", "`limit`: must be a number of posts"),
        ("limit=x", "must be a number"),
        ("limit=-1", "must be a number"),
        ("before=0", "the number of a post"),
        ("before=x", "the number of a post"),
        ("title=long", "`title`: must be one of auto, line, kind, none"),
        ("only=photo,films", "`only`: must be a comma-separated list of text, photo, video"),
        ("hide=,", "must be a comma-separated list of preview"),
        ("max-age=7", "a duration with one unit"),
        ("max-age=0d", "a duration with one unit"),
        ("tag=,", "list of at most 32 hashtags"),
        ("match=%20", "words"),
        ("match=/a", "a /regular expression/"),
        ("ids=numbers", "permalink, preview, number, bare"),
        ("ids=ftp://example.org/", "permalink, preview"),
        ("match=/posts/&exclude=x&tag=a&limt=5", "did you mean `limit`?"),
        ("Limit=5", "did you mean `limit`?"),
        ("tags=a", "did you mean `tag`?"),
        ("lmiit=5", "did you mean `limit`?"),
        ("befire=5", "did you mean `before`?"),
        ("maxage=5d", "did you mean `max-age`?"),
    ] {
        let err = FeedOptions::parse(query).unwrap_err().to_string();
        assert!(err.contains(part), "{query}: {err}");
    }
    let many = (0..21).map(|n| format!("exclude=word{n}")).collect::<Vec<_>>().join("&");
    assert!(FeedOptions::parse(&many).is_err());
}

#[test]
fn every_option_has_a_valid_example_and_default() {
    let mut names = BTreeSet::new();
    for option in OPTIONS {
        assert!(names.insert(option.name), "{} stands twice in the table", option.name);
        let options = FeedOptions::parse(option.example).unwrap();
        assert!((option.write)(&options).len() == 1 || option.name == "exclude", "{}", option.example);
        assert!(
            (option.write)(&FeedOptions::default()).is_empty(),
            "the default of {} is written",
            option.name
        );
        if let Values::OneOf(names) = option.values {
            assert_eq!(names()[0], option.default, "{}", option.name);
        }
        for column in [option.default, option.meaning, option.example] {
            assert!(!column.contains('|'), "{column} breaks the table of the manual");
        }
    }
}

/// Returns queries of options with valid and invalid values.
fn queries() -> impl Strategy<Value = String> {
    let names: Vec<&str> = OPTIONS.iter().map(|option| option.name).chain(["utm_source", "limt"]).collect();
    let values: Vec<String> = OPTIONS
        .iter()
        .map(|option| option.example.split_once('=').unwrap().1.split('&').next().unwrap().to_owned())
        .chain(OPTIONS.iter().flat_map(|option| match option.values {
            Values::OneOf(names) | Values::ListOf(names) => names().into_iter().map(str::to_owned).collect(),
            Values::Text { .. } => Vec::new(),
        }))
        .collect();
    let value = prop_oneof![
        proptest::sample::select(values),
        "\\PC{0,12}",
        "[\"/ a-cİΣς\u{a0}]{0,40}",
        "[0-9]{1,4}[smhdw]?",
    ];
    let pair = (proptest::sample::select(names), value).prop_map(|(name, value)| {
        url::form_urlencoded::Serializer::new(String::new()).append_pair(name, &value).finish()
    });
    proptest::collection::vec(pair, 0..5).prop_map(|pairs| pairs.join("&"))
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_an_error(query in "\\PC*") {
        drop(FeedOptions::parse(&query));
    }

    #[test]
    fn canonicalizing_twice_changes_nothing(query in queries(), n in 0..Language::ALL.len()) {
        let default_language = Language::ALL[n];
        if let Ok(options) = FeedOptions::parse_over("", &query, default_language) {
            let canonical = options.query();
            let again = FeedOptions::parse_over("", &canonical, default_language);
            prop_assert_eq!(again.as_ref(), Ok(&options), "{}", canonical);
            prop_assert_eq!(again.unwrap().query(), canonical);
        }
    }

    #[test]
    fn the_order_of_parameters_does_not_matter(first in queries(), second in queries()) {
        let names = |query: &str| -> BTreeSet<String> {
            url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned()).collect()
        };
        // Of several values of an option that takes one, the last counts.
        if names(&first).is_disjoint(&names(&second))
            && let Ok(options) = FeedOptions::parse(&format!("{first}&{second}"))
        {
            prop_assert_eq!(FeedOptions::parse(&format!("{second}&{first}")), Ok(options));
        }
    }
}
