//! The cost of filters: 2,000 posts with a plain word, and 200 posts with regular expressions that are made to be slow.
//!
//! The whole answer is the time from the selection of 200 posts to the rendered feed, without the archive and compression.
//!
//! `cargo bench --bench filters`. To count instructions, run one part alone under callgrind, with `filter` or `answer` as its
//! argument: `valgrind --tool=callgrind target/release/deps/filters-… filter`. `nothing` counts what both need to begin.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use telewire::feed::context::FeedContext;
use telewire::feed::filter::Filter;
use telewire::feed::options::{FeedOptions, OptionsError};
use telewire::feed::select::{MAX_LOOKED_AT, Scan};
use telewire::feed::{self, Format};
use telewire::model::channel::{Channel, ChannelName};
use telewire::model::post::{Post, PostId};

/// Repetitions of each measurement, of which the fastest counts.
const ROUNDS: usize = 5;

/// The posts that slow expressions search.
const N_POSTS: u32 = 200;

fn main() {
    let channel = channel();
    let posts = posts(u32::try_from(MAX_LOOKED_AT).expect("a small number"));
    let filter = compile("match=submarine").expect("a valid filter");
    let look_at = || {
        black_box(posts.iter().filter(|post| filter.passes(post, &[])).count());
    };
    let archived: Vec<Vec<u8>> =
        posts.iter().map(|post| serde_json::to_vec(post).expect("a post as JSON")).collect();
    let whole = || {
        let read = |post: &Vec<u8>| serde_json::from_slice(post).expect("a post");
        black_box(search(&channel, archived.iter().map(read).collect()));
    };
    match std::env::args().nth(1).as_deref() {
        Some("filter") => return look_at(),
        Some("answer") => return whole(),
        Some("nothing") => return,
        _ => {}
    }
    for query in ["limit=50", "match=rust+release&without=forward,ad&hide=preview&limit=50"] {
        let parse = || {
            for _ in 0..1000 {
                black_box(FeedOptions::parse(black_box(query)).expect("a valid query").query());
            }
        };
        println!("canonical form of {query}: {:?}", fastest(parse) / 1000);
    }
    let (looked_at, whole) = (fastest(look_at), fastest(whole));
    println!(
        "{MAX_LOOKED_AT} posts, a plain word: {looked_at:?}, {:.0} % of an answer that reads them all",
        100.0 * looked_at.as_secs_f64() / whole.as_secs_f64()
    );
    let posts = &posts[posts.len() - N_POSTS as usize..];
    let word = filter_time(posts, "match=qqq").expect("a plain word is a valid filter");
    let answer = fastest(|| answer(&channel, posts));
    println!("{N_POSTS} posts, a plain word: {word:?}, the whole answer: {answer:?}");
    let mut slowest = (Duration::ZERO, String::new());
    let (mut n_compiled, mut n_rejected) = (0, 0);
    for expression in expressions() {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("match", &format!("/{expression}/"))
            .finish();
        match filter_time(posts, &query) {
            Ok(time) => {
                n_compiled += 1;
                slowest = slowest.max((time, expression));
            }
            Err(_) => n_rejected += 1,
        }
    }
    let ratio = |time: Duration, to: Duration| time.as_secs_f64() / to.as_secs_f64();
    println!(
        "{n_compiled} slow expressions, {n_rejected} rejected; the slowest takes {:?}, {:.1} times the word, and {:.1} times \
         the answer with a word: {}",
        slowest.0,
        ratio(slowest.0, word),
        ratio(slowest.0 + answer, word + answer),
        slowest.1
    );
}

fn compile(query: &str) -> Result<Filter, OptionsError> {
    Filter::new(&FeedOptions::parse(query)?)
}

/// Returns the time to compile a filter and to search all posts.
fn filter_time(posts: &[Post], query: &str) -> Result<Duration, OptionsError> {
    compile(query)?;
    Ok(fastest(|| {
        let filter = compile(query).expect("compiled before");
        black_box(posts.iter().filter(|post| filter.passes(post, &[])).count());
    }))
}

/// Searches decoded posts and renders the feed, which has the few with this number.
fn search(channel: &Channel, posts: Vec<Post>) -> Vec<u8> {
    let options = FeedOptions::parse("match=50&limit=200").expect("valid options");
    let filter = Filter::new(&options).expect("a valid filter");
    let mut scan = Scan::new(options, filter, Timestamp::UNIX_EPOCH);
    scan.look_at(channel, posts, false);
    feed::render(&feed::build(&scan.finish(channel.clone()), &FeedContext::default()), Format::Rss)
}

/// Selects and renders all posts.
fn answer(channel: &Channel, posts: &[Post]) {
    let options = FeedOptions { limit: Some(200), ..FeedOptions::default() };
    let mut scan = Scan::new(options, Filter::default(), Timestamp::UNIX_EPOCH);
    scan.look_at(channel, posts.to_vec(), false);
    let feed = feed::build(&scan.finish(channel.clone()), &FeedContext::default());
    black_box(feed::render(&feed, Format::Rss));
}

fn fastest(work: impl Fn()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..ROUNDS).map(time).min().unwrap_or_default()
}

fn channel() -> Channel {
    let name = ChannelName::new("sample").expect("a valid name");
    Channel::new(name, "https://example.org/sample".to_owned(), "Sample".to_owned())
}

/// Returns posts of about 700 characters in Latin and Cyrillic letters, with runs that slow expressions need.
fn posts(n: u32) -> Vec<Post> {
    let text = |n: u32| {
        let runs = "a".repeat(60) + &"ab".repeat(30) + " " + &"x ".repeat(30);
        let words = "Low tide at six in the morning. Прилив в шесть утра, лодки выходят в море. ".repeat(6);
        format!("Post {n}\n{runs}\n{words}")
    };
    let post = |n: u32| {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(n.into());
        let permalink = format!("https://example.org/sample/{n}");
        Post { text: text(n).as_str().into(), ..Post::empty(PostId::new(n).expect("not 0"), permalink, at) }
    };
    (1..=n).map(post).collect()
}

/// Returns 200 expressions that are slow for backtracking engines, for determinization, or for the simulation of many
/// states.
fn expressions() -> Vec<String> {
    let sizes = [2, 5, 10, 20, 40, 80, 120, 200, 400, 900];
    let families: [fn(u32) -> String; 20] = [
        |n| format!("(a+)+{{1,{}}}b$q", n.min(4)),
        |n| format!("(?:a|a)*{{{}}}q", n.min(9)),
        |n| format!("[ab]*a[ab]{{{n}}}q"),
        |n| format!("a.{{0,{n}}}q"),
        |n| format!("[^q]{{0,{n}}}z"),
        |n| format!("(?:a?){{{n}}}a{{{n}}}q"),
        |n| format!("\\b\\w+(?:\\s\\w+){{0,{n}}}q"),
        |n| format!("(?:\\pL{{1,{n}}}\\s?){{1,3}}q"),
        |n| format!("(.*)(.*){{{}}}z", n.min(20)),
        |n| format!("(x+x+)+{{{}}}y", n.min(9)),
        |n| format!("[а-яё]{{0,{n}}}ъъ"),
        |n| format!("(?:а|в|е|о|л)+.{{{n}}}ъ"),
        |n| format!("(?:[a-z ]{{0,{n}}}[а-я ]{{0,{n}}})z"),
        |n| format!("(?s).*a.{{{n}}}q"),
        |n| format!("(?-u:a.{{0,{n}}}q)|\\bq"),
        |n| format!("(?:tide|low|six|at)(?:.{{0,{n}}})(?:zzz|qqq)"),
        |n| format!("\\b(?:.{{1,{n}}})\\bq"),
        |n| format!("(?:(?:a{{0,{n}}})b?)*q"),
        |n| "|".to_owned() + &"(?:ab|ba|aab)*c".repeat(n.min(20) as usize),
        |n| format!("{}q", "a*".repeat(n.min(200) as usize)),
    ];
    families.iter().flat_map(|family| sizes.map(family)).collect()
}
