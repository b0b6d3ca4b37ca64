//! Rules of the code base that a search through its files can keep; `src/lib.rs` says what they are for.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use telewire::config::Cli;

use crate::support::{app, assert_none, root};

/// Words of the code, where they may stand, and why nowhere else.
const HOMES: [(&str, &[&str], &str); 13] = [
    ("t.me", &["telegram/"], "only `telegram` knows Telegram's addresses"),
    ("scraper", &["telegram/"], "only `telegram` reads Telegram's markup"),
    (
        "reqwest::Client",
        &["guard.rs", "telegram/client.rs", "media/client.rs"],
        "only the clients ask, since they have limits",
    ),
    ("sqlx", &["archive/"], "only the archive speaks to databases"),
    ("axum", &["web/"], "only `web` speaks HTTP"),
    ("atom_syndication", &["feed/atom.rs"], "only the format's own file names the crate"),
    ("rss::extension", &["feed/rss.rs"], "only the format's own file names the crate"),
    ("rss::Channel", &["feed/rss.rs"], "only the format's own file names the crate"),
    ("ammonia", &["feed/sanitize.rs"], "what came from Telegram goes through one sanitizer"),
    ("println!", &["main.rs", "cli/"], "only `main` and `cli` print"),
    ("print!", &["main.rs", "cli/"], "only `main` and `cli` print"),
    ("eprintln!", &["main.rs", "cli/"], "only `main` and `cli` print"),
    ("eprint!", &["main.rs", "cli/"], "only `main` and `cli` print"),
];

/// The files that are pure, and words that would betray that they are not.
const PURE: [&str; 16] = [
    "channel.rs",
    "post.rs",
    "files.rs",
    "media/address.rs",
    "media/hosts.rs",
    "media/kind.rs",
    "media/range.rs",
    "text.rs",
    "feed/",
    "telegram/address.rs",
    "telegram/dom.rs",
    "telegram/landing.rs",
    "telegram/media.rs",
    "telegram/page.rs",
    "telegram/post.rs",
    "telegram/text.rs",
];
const IMPURE: [&str; 9] = [
    "tokio",
    "std::fs",
    "std::io",
    "TcpStream",
    "std::env",
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "tracing",
];

#[test]
fn words_stand_only_where_they_belong() {
    let mut strays = Vec::new();
    for (file, code) in code_of("src") {
        for (word, homes, why) in HOMES {
            if !homes.iter().any(|home| file.starts_with(home)) {
                strays.extend(lines_with(&code, word).map(|line| format!("src/{file}: {line}\n  {why}")));
            }
        }
    }
    assert_none(&strays);
}

#[test]
fn the_model_the_parsers_and_the_feeds_are_pure() {
    let mut strays = Vec::new();
    for (file, code) in code_of("src") {
        if PURE.iter().any(|pure| file.starts_with(pure)) {
            let found = IMPURE.iter().flat_map(|word| lines_with(&code, word));
            strays.extend(found.map(|line| format!("src/{file}: {line}")));
        }
    }
    assert_none(&strays);
}

#[test]
fn every_file_begins_with_what_it_is() {
    let mut silent = Vec::new();
    for folder in ["src", "tests/it"] {
        for (file, text) in files_of(&root().join(folder)) {
            if !text.starts_with("//! ") {
                silent.push(format!("{folder}/{file}"));
            }
        }
    }
    assert_none(&silent);
}

/// A comment stands above each dependency, or above the one before of which it is a part: serde and `serde_json`.
#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut section = "";
    let mut said_for = None;
    let mut silent = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if line.starts_with('#') {
            said_for = Some("");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| section.ends_with("dependencies]"))
        {
            match said_for {
                Some("") => said_for = Some(name),
                Some(family) if name.starts_with(&format!("{family}_")) => {}
                _ => silent.push(format!("Cargo.toml: {name}")),
            }
        } else {
            said_for = None;
        }
    }
    assert_none(&silent);
}

#[test]
fn the_readme_explains_every_flag_of_the_service() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let table = readme.split("| flag | variable |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: Vec<Vec<&str>> = table.lines().skip(2).map(|row| row.split(" | ").collect()).collect();
    let command = Cli::command();
    let flags: Vec<_> = command.get_arguments().filter(|flag| flag.get_env().is_some()).collect();
    let mut wrong = Vec::new();
    for flag in flags.iter().filter(|flag| flag.get_long() != Some("config")) {
        let (name, variable) = (flag.get_long().unwrap(), flag.get_env().unwrap().to_str().unwrap());
        let expected = [format!("| `--{name}`"), format!("`{variable}`"), format!("`{name}`")];
        let Some(row) = rows.iter().find(|row| row[..3] == expected) else {
            wrong.push(format!("README.md has no row {expected:?}"));
            continue;
        };
        let default = flag.get_default_values().first().map(|value| value.to_str().unwrap());
        let is_told =
            default.is_none_or(|default| row[3] == format!("`{default}`") || !row[3].starts_with('`'));
        if !is_told {
            wrong.push(format!("README.md: the default of --{name} is {default:?}, not {}", row[3]));
        }
    }
    assert_eq!(rows.len(), flags.len() - 1, "each row is a flag");
    assert_none(&wrong);
}

#[test]
fn the_example_of_settings_is_what_the_program_writes() {
    let example = fs::read_to_string(root().join("deploy/telewire.toml")).unwrap();
    assert_eq!(
        example,
        app::run(&["config", "example"]).stdout,
        "telewire config example > deploy/telewire.toml"
    );
}

/// The lines that have the word: not as a part of a longer name.
fn lines_with<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.lines().map(str::trim).filter(move |line| {
        line.match_indices(word).any(|(at, _)| {
            !line[..at].ends_with(|c| is_name(c) || c == '.') && !line[at + word.len()..].starts_with(is_name)
        })
    })
}

/// The files of a folder without comments and without what only tests see.
fn code_of(folder: &str) -> Vec<(String, String)> {
    let files = files_of(&root().join(folder));
    let only_tests: Vec<String> = files.iter().flat_map(|(file, text)| test_modules(file, text)).collect();
    let kept = files.into_iter().filter(|(file, _)| !only_tests.contains(file));
    kept.map(|(file, text)| (file, code(&text))).collect()
}

/// The files that a file declares as modules for tests only: `#[cfg(test)]` above `mod sample;`.
fn test_modules(file: &str, text: &str) -> Vec<String> {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let declared = text.split("#[cfg(test)]\nmod ").skip(1).filter_map(|rest| {
        let name = rest.lines().next()?.strip_suffix(';')?;
        Some(Path::new(folder).join(name).with_extension("rs").to_str()?.to_owned())
    });
    declared.collect()
}

/// The text without comments and without test modules, which rustfmt ends with a brace at the start of a line.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.ends_with('{')) {
            lines.by_ref().find(|line| *line == "}");
        } else if !line.trim_start().starts_with("//") {
            code.push_str(line.split(" // ").next().unwrap_or_default());
            code.push('\n');
        }
    }
    code
}

/// The Rust files below a folder, each with its path from there.
fn files_of(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            files.extend(files_of(&path).into_iter().map(|(file, text)| (format!("{name}/{file}"), text)));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
    files
}
