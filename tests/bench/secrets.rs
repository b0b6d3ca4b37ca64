//! Whether the time that a comparison takes tells how much of a secret is right: tokens, and signatures of media.
//!
//! Both kinds are timed in turns in one run. A ratio of 1 tells nothing.
//!
//! `cargo bench --bench secrets`
#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use telewire::media::signed_url::MediaKeys;
use telewire::model::media_file::FileId;
use telewire::web::Tokens;

const ROUNDS: usize = 200;
const TIMES: usize = 5000;

fn main() {
    let secrets: Tokens = "0123456789abcdef0123456789abcdef".parse().expect("a token");
    let nearly = "0123456789abcdef0123456789abcdeX";
    let nothing = "X123456789abcdef0123456789abcdef";
    println!(
        "a token, nearly right / all wrong: {:.3}",
        ratio(|| secrets.contain(nearly), || secrets.contain(nothing))
    );
    let right = "0123456789abcdef0123456789abcdef";
    println!(
        "a token, right / all wrong: {:.3}",
        ratio(|| secrets.contain(right), || secrets.contain(nothing))
    );
    let keys: MediaKeys = "0123456789abcdef0123456789abcdef".parse().expect("a key");
    let file: FileId = "sample/42/0.jpg".parse().expect("a file");
    let path = keys.path(&file);
    let with = |at: usize| {
        let other = if path.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &path[..at], &path[at + 1..])
    };
    // The signature begins behind /-/media/ and has 22 characters, of which the last has 2 bits only.
    let (early, late) = (with(9), with(29));
    let is_good = |path: &str| keys.verify(path).is_some();
    println!(
        "a signature, wrong at its end / at its beginning: {:.3}",
        ratio(|| is_good(&late), || is_good(&early))
    );
}

/// How many times longer the first takes than the second: the median of many rounds.
fn ratio(one: impl Fn() -> bool, other: impl Fn() -> bool) -> f64 {
    let time = |work: &dyn Fn() -> bool| {
        let begun = Instant::now();
        for _ in 0..TIMES {
            black_box(work());
        }
        begun.elapsed()
    };
    let mut rounds: Vec<(Duration, Duration)> = (0..ROUNDS).map(|_| (time(&one), time(&other))).collect();
    let mut ratios: Vec<f64> =
        rounds.drain(..).map(|(one, other)| one.as_secs_f64() / other.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
}
