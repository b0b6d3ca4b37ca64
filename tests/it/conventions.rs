//! Conventions of the code base that can be checked by searching its files. `src/lib.rs` explains them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use telewire::config::Cli;
use telewire::feed::options::{FeedOption, OPTIONS};

use crate::support::{app, assert_no_failures, root};

/// Words, the files in which they may appear, and why only there.
const ALLOWED_FILES: [(&str, &[&str], &str); 13] = [
    ("t.me", &["telegram/"], "only `telegram` knows Telegram's URLs"),
    ("scraper", &["telegram/"], "only `telegram` parses Telegram's markup"),
    (
        "reqwest::Client",
        &["net/http_client.rs", "telegram/client.rs", "media/client.rs"],
        "only these clients have limits and SSRF protection",
    ),
    ("sqlx", &["archive/"], "only the archive uses databases"),
    ("axum", &["web/"], "only `web` uses axum"),
    ("atom_syndication", &["feed/atom.rs"], "only the format's own file names the crate"),
    ("rss::extension", &["feed/rss.rs"], "only the format's own file names the crate"),
    ("rss::Channel", &["feed/rss.rs"], "only the format's own file names the crate"),
    ("ammonia", &["feed/sanitize.rs"], "everything from Telegram goes through one sanitizer"),
    ("clap", &["cli/", "config/"], "flags end in a plain `Config`"),
    ("println!", &["main.rs", "cli/"], "only `main` and `cli` print"),
    ("print!", &["main.rs", "cli/"], "only `main` and `cli` print"),
    ("eprintln!", &["main.rs", "cli/"], "only `main` and `cli` print"),
];

/// The layers, lowest first. A module imports only its own submodules and modules of lower layers.
const LAYERS: [&[&str]; 13] = [
    &["clock", "compressed_json", "cpu_pool", "language", "metrics", "shutdown"],
    &["resilience"],
    &["model"],
    &["net"],
    &["telegram"],
    &["archive"],
    &["channels"],
    &["media"],
    &["feed"],
    &["web"],
    &["config"],
    &["service"],
    &["cli"],
];

/// Files and directories that must be pure, including everything that they import.
const PURE: [&str; 10] = [
    "model/",
    "feed/",
    "media/signed_url.rs",
    "telegram/dom.rs",
    "telegram/media.rs",
    "telegram/no_posts.rs",
    "telegram/page.rs",
    "telegram/parser.rs",
    "telegram/post.rs",
    "telegram/text.rs",
];

/// Words that only impure code contains.
const IMPURE: [&str; 10] = [
    "tokio",
    "std::fs",
    "std::io",
    "TcpStream",
    "std::env",
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "clock::now",
    "tracing",
];

#[test]
fn words_appear_only_in_their_modules() {
    let mut violations = Vec::new();
    for (file, code) in code_of("src") {
        for (word, allowed, reason) in ALLOWED_FILES {
            if !allowed.iter().any(|allowed| file.starts_with(allowed)) {
                violations
                    .extend(lines_with(&code, word).map(|line| format!("src/{file}: {line}\n  {reason}")));
            }
        }
    }
    assert_no_failures(&violations);
}

#[test]
fn modules_import_only_lower_layers() {
    let layer_of = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut upward = Vec::new();
    for (file, imports) in import_graph() {
        let module = top_module(&file);
        let layer = layer_of(module).unwrap_or_else(|| panic!("src/{file} belongs to no layer"));
        for import in imports.iter().filter(|import| top_module(import) != module) {
            if layer_of(top_module(import)).is_none_or(|imported| imported >= layer) {
                upward.push(format!("src/{file} imports src/{import}"));
            }
        }
    }
    assert_no_failures(&upward);
}

/// Imports between a parent module and its children do not count: a child uses its parent's types, and the parent
/// re-exports the child's.
#[test]
fn no_modules_import_each_other_in_a_cycle() {
    let graph = import_graph();
    let mut cycles = Vec::new();
    for start in graph.keys() {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&String> = graph[start].iter().collect();
        while let Some(file) = open.pop() {
            if file == start {
                cycles.push(format!("src/{start} imports itself through {seen:?}"));
                break;
            }
            if seen.insert(file) {
                open.extend(graph.get(file).into_iter().flatten());
            }
        }
    }
    assert_no_failures(&cycles);
}

#[test]
fn model_feed_and_parsers_and_their_imports_are_pure() {
    let graph = import_graph();
    let code: BTreeMap<String, String> = code_of("src").into_iter().collect();
    let mut open: Vec<String> =
        code.keys().filter(|file| PURE.iter().any(|pure| file.starts_with(pure))).cloned().collect();
    let (mut seen, mut violations) = (BTreeSet::new(), Vec::new());
    while let Some(file) = open.pop() {
        if seen.insert(file.clone()) {
            let found = IMPURE.iter().flat_map(|word| lines_with(&code[&file], word));
            violations.extend(found.map(|line| format!("src/{file}: {line}")));
            open.extend(graph.get(&file).into_iter().flatten().cloned());
        }
    }
    assert_no_failures(&violations);
}

/// Returns the files of `src` that each file imports by `crate::` and `super::` paths, without its ancestors and
/// descendants.
fn import_graph() -> BTreeMap<String, BTreeSet<String>> {
    let code: BTreeMap<String, String> = code_of("src").into_iter().collect();
    let is_root = |file: &str| matches!(file, "main.rs" | "lib.rs");
    let imports = |(file, code_of_file): (&String, &String)| {
        let module = module_path(file);
        let paths = paths_in(code_of_file, &module);
        let files = paths.iter().filter_map(|path| file_of(path, &code));
        let is_related = |other: &String| {
            let other = module_path(other);
            module.starts_with(&other) || other.starts_with(&module)
        };
        (file.clone(), files.filter(|file| !is_related(file)).collect())
    };
    code.iter().filter(|(file, _)| !is_root(file)).map(imports).collect()
}

/// Returns the module path of a file: `web/mod.rs` and `web/feeds.rs` are `["web"]` and `["web", "feeds"]`.
fn module_path(file: &str) -> Vec<String> {
    let mut path: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    path.pop_if(|last| last == "mod");
    path
}

fn top_module(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Returns the absolute paths in a file that start with `crate::` or `super::`, with `use` groups expanded.
fn paths_in(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    let mut paths = Vec::new();
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            if code[..at].ends_with(is_path) {
                continue;
            }
            let text = &code[at..];
            let prefix = &text[..text.find(|c| !is_path(c)).unwrap_or(text.len())];
            let rest = text[prefix.len()..].strip_prefix('{').unwrap_or_default();
            let group = &rest[..rest.find("};").unwrap_or(0)];
            let items = group.split([',', '{', '}']).map(str::trim);
            let items = items.map(|item| item.split(" as ").next().unwrap());
            for item in items.filter(|item| !item.is_empty()).chain([""]) {
                paths.push(absolute(&format!("{prefix}{item}"), module));
            }
        }
    }
    paths
}

/// Resolves `crate` and `super` at the start of a path.
fn absolute(path: &str, module: &[String]) -> Vec<String> {
    let mut base = module.to_vec();
    let mut segments = path.split("::").filter(|segment| !segment.is_empty()).peekable();
    if segments.next_if_eq(&"crate").is_some() {
        base.clear();
    }
    while segments.next_if_eq(&"super").is_some() {
        base.pop();
    }
    base.into_iter().chain(segments.map(str::to_owned)).collect()
}

/// Returns the file of the longest prefix of a path that is a module.
fn file_of(path: &[String], files: &BTreeMap<String, String>) -> Option<String> {
    (1..=path.len()).rev().find_map(|n| {
        let module = path[..n].join("/");
        [format!("{module}.rs"), format!("{module}/mod.rs")].into_iter().find(|file| files.contains_key(file))
    })
}

#[test]
fn every_file_starts_with_a_doc_comment() {
    let mut undocumented = Vec::new();
    for folder in ["src", "tests/it"] {
        for (file, text) in files_of(&root().join(folder)) {
            if !text.starts_with("//! ") {
                undocumented.push(format!("{folder}/{file}"));
            }
        }
    }
    assert_no_failures(&undocumented);
}

/// The comment is above the dependency, or above the previous one of the same family: serde and `serde_json`.
#[test]
fn every_dependency_has_a_comment() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut section = "";
    // The dependency that the last comment is about; empty if that follows.
    let mut commented = None;
    let mut undocumented = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if line.starts_with('#') {
            commented = Some("");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| section.ends_with("dependencies]"))
        {
            match commented {
                Some("") => commented = Some(name),
                Some(family) if name.starts_with(&format!("{family}_")) => {}
                _ => undocumented.push(format!("Cargo.toml: {name}")),
            }
        } else {
            commented = None;
        }
    }
    assert_no_failures(&undocumented);
}

#[test]
fn manual_lists_every_flag_with_its_default() {
    let manual = fs::read_to_string(root().join("deploy/README.md")).unwrap();
    let tables = manual.split("| flag | variable |").skip(1).map(|rest| rest.split("\n\n").next().unwrap());
    let rows: Vec<Vec<&str>> =
        tables.flat_map(|table| table.lines().skip(2)).map(|row| row.split(" | ").collect()).collect();
    let command = Cli::command();
    let flags: Vec<_> = command.get_arguments().filter(|flag| flag.get_env().is_some()).collect();
    let mut wrong = Vec::new();
    for flag in flags.iter().filter(|flag| flag.get_long() != Some("config")) {
        let (name, variable) = (flag.get_long().unwrap(), flag.get_env().unwrap().to_str().unwrap());
        let expected = [format!("| `--{name}`"), format!("`{variable}`"), format!("`{name}`")];
        let Some(row) = rows.iter().find(|row| row[..3] == expected) else {
            wrong.push(format!("deploy/README.md has no row {expected:?}"));
            continue;
        };
        let default = flag.get_default_values().first().map(|value| value.to_str().unwrap());
        let is_documented =
            default.is_none_or(|default| row[3] == format!("`{default}`") || !row[3].starts_with('`'));
        if !is_documented {
            wrong.push(format!("deploy/README.md: the default of --{name} is {default:?}, not {}", row[3]));
        }
    }
    assert_eq!(rows.len(), flags.len() - 1, "every row describes a flag");
    assert_no_failures(&wrong);
}

#[test]
fn manual_lists_every_feed_option() {
    let manual = fs::read_to_string(root().join("deploy/README.md")).unwrap();
    let row = |option: &FeedOption| {
        let (values, example) = (option.values.documented(), option.example);
        let FeedOption { name, default, meaning, .. } = option;
        format!("| `{name}` | {values} | {default} | {meaning} | `{example}` |\n")
    };
    let table: String = OPTIONS.iter().map(row).collect();
    let table =
        format!("| option | values | default | meaning | example |\n|---|---|---|---|---|\n{table}\n");
    assert!(manual.contains(&table), "deploy/README.md must contain this table:\n\n{table}");
}

#[test]
fn example_config_file_is_up_to_date() {
    let example = fs::read_to_string(root().join("deploy/telewire.toml")).unwrap();
    assert_eq!(
        example,
        app::run(&["config", "example"]).stdout,
        "to update it, run `telewire config example > deploy/telewire.toml`"
    );
}

/// Returns the lines that contain the word, not only as a part of a longer name.
fn lines_with<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.lines().map(str::trim).filter(move |line| {
        line.match_indices(word).any(|(at, _)| {
            !line[..at].ends_with(|c| is_name(c) || c == '.') && !line[at + word.len()..].starts_with(is_name)
        })
    })
}

/// Returns the paths and the code of the files in a folder, without comments and tests.
fn code_of(folder: &str) -> Vec<(String, String)> {
    let files = files_of(&root().join(folder));
    let only_tests: Vec<String> = files.iter().flat_map(|(file, text)| test_modules(file, text)).collect();
    let kept = files.into_iter().filter(|(file, _)| !only_tests.contains(file));
    kept.map(|(file, text)| (file, code(&text))).collect()
}

/// Returns the files that a file declares as test modules: `#[cfg(test)]` above `mod fixtures;`.
fn test_modules(file: &str, text: &str) -> Vec<String> {
    let folder = module_path(file).join("/");
    let declared = text.split("#[cfg(test)]\nmod ").skip(1).filter_map(|rest| {
        let name = rest.lines().next()?.strip_suffix(';')?;
        Some(Path::new(&folder).join(name).with_extension("rs").to_str()?.to_owned())
    });
    declared.collect()
}

/// Returns a file's text without comments and inline test modules. The end of such a module is a `}` at the start of a
/// line, because rustfmt indents everything inside.
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

/// Returns the relative paths and the texts of the Rust files in a folder and its subfolders.
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
