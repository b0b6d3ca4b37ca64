//! The example settings file, made from the flags.

use clap::ArgAction;

use super::bundles;
use super::file::flags;

/// Returns an example settings file: every setting with its description and default, commented out.
#[must_use]
pub fn example() -> String {
    let mut text =
        "# Settings of telewire with their defaults. Remove the # from those you change, then run:\n\
         #   telewire config check telewire.toml && telewire --config telewire.toml\n"
            .to_owned();
    for flag in flags() {
        let help = flag.get_long_help().or(flag.get_help()).map(ToString::to_string).unwrap_or_default();
        text.push('\n');
        for line in wrapped(&help) {
            text.extend(["# ", line.as_str(), "\n"]);
        }
        let defaults = flag.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
        let default = defaults.collect::<Vec<_>>().join(",");
        let name = flag.get_long().unwrap_or_default();
        let value = match (flag.get_action(), default.as_str()) {
            (ArgAction::SetTrue, _) => "false".to_owned(),
            (_, "") => example_value(name).to_owned(),
            (_, number) if number.parse::<u64>().is_ok() => number.to_owned(),
            (_, text) => format!("{text:?}"),
        };
        text.extend(["# ", name, " = ", value.as_str(), "\n"]);
    }
    text + bundles::EXAMPLE
}

/// Returns a valid value, in TOML, for a flag without a default.
fn example_value(flag: &str) -> &'static str {
    match flag {
        "public-url" => "\"https://feeds.example.org\"",
        "media-url" => "\"https://media.example.org\"",
        "trusted-proxies" => "\"127.0.0.1\"",
        "metrics-listen" => "\"127.0.0.1:9090\"",
        "proxy" => "\"socks5h://127.0.0.1:9050\"",
        "dns" => "\"9.9.9.9\"",
        "database" => "\"postgres://user:password@db.example/telewire\"",
        "keep-days" => "365",
        "keep-posts" => "1000",
        "media-key" => "\"replace this with the output of: openssl rand -hex 32\"",
        "media-refresh" => "\"24h\"",
        "token" | "admin-token" => "\"replace this with the output of: openssl rand -hex 16\"",
        "allow-channels" => "\"durov,news_*\"",
        "deny-channels" => "\"some_channel\"",
        "home-text" => "\"/etc/telewire/home.md\"",
        "log-format" => "\"json\"",
        _ => "\"\"",
    }
}

/// Wraps text into lines of at most 110 characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < 110 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::parse;

    #[test]
    fn every_line_of_the_example_is_valid_when_uncommented() {
        let example = example();
        let settings = example.split_once(bundles::EXAMPLE).unwrap().0;
        let settings: Vec<&str> = settings
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' ')))
            .collect();
        assert_eq!(settings.len(), flags().len(), "{settings:#?}");
        for setting in settings {
            assert_eq!(parse(setting).unwrap().values.len(), 1, "{setting}");
        }
        let bundle = bundles::EXAMPLE.lines().skip(3).map(|line| line.trim_start_matches("# "));
        assert_eq!(parse(&bundle.collect::<Vec<_>>().join("\n")).unwrap().bundles.len(), 1);
    }
}
