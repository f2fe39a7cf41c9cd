//! What must hold of every parser of outside input that we wrote ourselves, whatever it is given.
//!
//! Each target is a function of some bytes. It panics when something does not hold. `fuzz/` hands
//! them to libFuzzer; the tests here run them over the seeds in `fuzz/seeds` and over many variations
//! of those, which takes seconds and no nightly compiler.

mod config;
mod events;
mod media;
mod rules;
mod texts;
mod tokens;

/// Parts the arguments of a target that takes several.
const SEPARATOR: &str = "\n%%\n";

/// A target's name, and what it does with some bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("config", config::layers),
    ("database", config::database),
    ("event", events::event),
    ("filter", rules::filter),
    ("glob", texts::glob),
    ("json", texts::json),
    ("keys", rules::keys),
    ("names", texts::names),
    ("page", media::page),
    ("pdu", events::pdu),
    ("picture", media::picture),
    ("push_rules", rules::push_rules),
    ("search", texts::search),
    ("served", media::served),
    ("tokens", tokens::tokens),
];

/// Runs the target of this name.
///
/// # Panics
/// When there is none, or when something does not hold.
pub fn run(name: &str, input: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    target(input);
}

/// The input as so many texts; those that are not there are empty.
fn texts<const N: usize>(input: &[u8]) -> Option<[&str; N]> {
    let mut parts = std::str::from_utf8(input).ok()?.splitn(N, SEPARATOR);
    Some(std::array::from_fn(|_| parts.next().unwrap_or_default()))
}
