//! Timing attacks: whether the duration of a comparison reveals how much of a token or signature is correct.
//!
//! The two cases of a ratio are measured alternately in one run. A ratio of 1 reveals nothing.
//!
//! `cargo bench --bench secrets`
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use telewire::media::signed_url::MediaKeys;
use telewire::model::media_file::FileId;
use telewire::web::Tokens;

const ROUNDS: usize = 200;
const CALLS_PER_ROUND: usize = 5000;

fn main() {
    let tokens: Tokens = "0123456789abcdef0123456789abcdef".parse().expect("a token");
    let last_wrong = "0123456789abcdef0123456789abcdeX";
    let first_wrong = "X123456789abcdef0123456789abcdef";
    println!(
        "token, last / first character wrong: {:.3}",
        ratio(|| tokens.contain(last_wrong), || tokens.contain(first_wrong))
    );
    let right = "0123456789abcdef0123456789abcdef";
    println!(
        "token, correct / first character wrong: {:.3}",
        ratio(|| tokens.contain(right), || tokens.contain(first_wrong))
    );
    let keys: MediaKeys = "0123456789abcdef0123456789abcdef".parse().expect("a key");
    let file: FileId = "sample/42/0.jpg".parse().expect("a file");
    let path = keys.path(&file);
    let with = |at: usize| {
        let other = if path.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &path[..at], &path[at + 1..])
    };
    // The signature follows `/-/media/`. It has 22 characters, the last of which has only 2 significant bits.
    let (first_wrong, late_wrong) = (with(9), with(29));
    let is_valid = |path: &str| keys.verify(path).is_some();
    println!(
        "signature, last but one / first character wrong: {:.3}",
        ratio(|| is_valid(&late_wrong), || is_valid(&first_wrong))
    );
}

/// Returns the median ratio of the duration of `one` to that of `other`.
fn ratio(one: impl Fn() -> bool, other: impl Fn() -> bool) -> f64 {
    let time = |work: &dyn Fn() -> bool| {
        let started = Instant::now();
        for _ in 0..CALLS_PER_ROUND {
            black_box(work());
        }
        started.elapsed()
    };
    let mut rounds: Vec<(Duration, Duration)> = (0..ROUNDS).map(|_| (time(&one), time(&other))).collect();
    let mut ratios: Vec<f64> =
        rounds.drain(..).map(|(one, other)| one.as_secs_f64() / other.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
}
