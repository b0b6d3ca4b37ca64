//! Golden files: reviewed output that later runs must reproduce byte by byte.

use std::path::Path;
use std::{env, fs};

/// The environment variable that makes [`compare`] overwrite golden files with the actual output.
pub(crate) const BLESS: &str = "TELEWIRE_BLESS";

/// The number of characters shown around a difference.
const SHOWN: usize = 60;

/// Compares bytes with a golden file, or overwrites the file if [`BLESS`] is set.
///
/// # Errors
///
/// If the bytes differ. Says where.
pub(crate) fn compare(file: &Path, actual: &[u8]) -> Result<(), String> {
    if is_blessing() {
        return fs::write(file, actual).map_err(|err| format!("{}: {err}", file.display()));
    }
    let name = file.file_name().unwrap_or_default().display();
    match fs::read(file) {
        Ok(expected) if expected == actual => Ok(()),
        Ok(expected) => Err(format!("{name} {}", first_difference(&expected, actual))),
        Err(err) => Err(format!("{name} cannot be read: {err}")),
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests' own variable, not one of the program's")]
fn is_blessing() -> bool {
    env::var_os(BLESS).is_some()
}

fn first_difference(expected: &[u8], actual: &[u8]) -> String {
    let (expected, actual) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(actual));
    let same: usize = expected
        .chars()
        .zip(actual.chars())
        .take_while(|(a, b)| a == b)
        .map(|(same, _)| same.len_utf8())
        .sum();
    let before = &expected[..same];
    let (line, column) =
        (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
    let around = |text: &str| {
        let start = before.char_indices().rev().nth(SHOWN / 2).map_or(0, |(at, _)| at);
        text[start..].chars().take(SHOWN / 2 + SHOWN).collect::<String>()
    };
    format!(
        "differs at line {line}, column {column}\n  expected {:?}\n  actual   {:?}",
        around(&expected),
        around(&actual)
    )
}
