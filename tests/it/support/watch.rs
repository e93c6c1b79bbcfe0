//! A watch over whatever servers log while the tests run: no line may have a secret in it, at whatever level (S11).
//!
//! Servers in this process log to the watch at the finest level, those in processes of their own at theirs. What they let slip ends
//! the tests at once, all of them: it would be found in no other way.

use std::{
    io::{self, Write},
    sync::Once,
};

use tracing_subscriber::{EnvFilter, Layer, fmt, registry::LookupSpan};

/// Passwords and tokens that tests choose. A new one that is long enough to mean nothing else belongs here.
const CHOSEN: [&str; 9] = [
    "correct horse battery",
    "correct+horse+battery",
    "correct%20horse%20battery",
    "a-token-of-an-administrator",
    "0123456789abcdef",
    "what:only the provider/knows",
    "secret-token-of-a-client",
    "s3cr3t-t0ken",
    "a token for the tests",
];

/// How tokens and keys begin, of which there are letters then.
const MADE: [&str; 2] = ["slt_", "slk_"];

/// Sees to it that the servers of this process are watched.
pub fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        use tracing_subscriber::layer::SubscriberExt as _;
        let watched = tracing_subscriber::registry().with(layer());
        tracing::subscriber::set_global_default(watched).expect("nobody else logs in this process");
    });
}

/// The watch, for tests that look at what is logged themselves.
pub fn layer<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    // The tests' own connections are not the server's.
    let all = EnvFilter::new("info,syncline=trace,sqlx=off");
    fmt::layer().with_ansi(false).with_writer(|| Watch).with_filter(all)
}

/// Reads what is written.
struct Watch;

impl Write for Watch {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        read(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends the tests if there is a secret in what was logged.
pub fn read(logged: &[u8]) {
    if let Some(secret) = secret_in(&String::from_utf8_lossy(logged)) {
        // Not what the tests print, which would go with them.
        let complaint = format!("a secret ({secret}) was logged:\n{}\n", String::from_utf8_lossy(logged));
        let _ = io::stderr().write_all(complaint.as_bytes());
        std::process::abort();
    }
}

fn secret_in(logged: &str) -> Option<String> {
    if let Some(chosen) = CHOSEN.iter().find(|chosen| logged.contains(**chosen)) {
        return Some((*chosen).to_owned());
    }
    MADE.iter().find_map(|prefix| {
        logged.match_indices(prefix).find_map(|(at, _)| {
            let rest: String =
                logged[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect();
            (rest.len() >= 12).then_some(rest)
        })
    })
}

#[test]
fn s11_the_watch_knows_a_secret_when_it_sees_one() {
    for line in [
        "INFO request{http.route=/query} referer=http://x/?token=slt_Qk3-_x9fLkd84 done",
        "WARN guessed password=\"correct horse battery\"",
        "key slk_viewer_0123",
    ] {
        assert!(secret_in(line).is_some(), "{line}");
    }
    for line in ["INFO keys begin with slk_ and tokens with slt_.", "a battery of horses, correct"] {
        assert_eq!(secret_in(line), None);
    }
    // What it is told reaches it: the finest level is on.
    begin();
    assert!(tracing::enabled!(target: "syncline::http", tracing::Level::TRACE));
}
