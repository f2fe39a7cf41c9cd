//! Every target over its seeds and over many variations of them, always the same.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::PathBuf,
};

use haechi_fuzz::{TARGETS, run};
use proptest::prelude::RngExt as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// Variations of the seeds of each target.
const VARIATIONS: usize = 3_000;

/// What texts of all kinds are made of.
const WORDS: [&str; 12] = [
    "\n%%\n",
    "\"",
    "{}",
    "*",
    "\\",
    "\u{130}",
    "%00",
    "-1",
    "18446744073709551616",
    "_",
    "~",
    "é",
];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).expect("seeds of the target");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("a seed")).collect()
}

/// A seed with some things changed.
fn vary(seeds: &[Vec<u8>], rng: &mut TestRng) -> Vec<u8> {
    let mut below = |bound: usize| rng.random_range(0..bound.max(1));
    let mut input = seeds[below(seeds.len())].clone();
    for _ in 0..=below(4) {
        let at = below(input.len() + 1);
        let end = (at + below(9)).min(input.len());
        match below(6) {
            0 => drop(input.drain(at..end)),
            1 => drop(input.splice(at..at, WORDS[below(WORDS.len())].bytes())),
            2 => {
                let copy = input[at..end].to_vec();
                let copies = copy.repeat(1 + below(20));
                input.splice(at..at, copies);
            }
            3 => {
                let other = &seeds[below(seeds.len())];
                let from = below(other.len() + 1);
                input.splice(at.., other[from..].iter().copied());
            }
            _ if at < input.len() => input[at] ^= 1 << below(8),
            _ => input.push(u8::try_from(below(256)).expect("below 256")),
        }
    }
    input
}

fn smoke(target: &str) {
    let seeds = seeds(target);
    let attempt = |input: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(target, input))) {
            eprintln!("{target} fails over {:?}", String::from_utf8_lossy(input));
            resume_unwind(panic);
        }
    };
    for seed in &seeds {
        attempt(seed);
    }
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for _ in 0..VARIATIONS {
        attempt(&vary(&seeds, &mut rng));
    }
}

macro_rules! smoke {
    ($($target:ident),+) => {
        $(#[test] fn $target() { smoke(stringify!($target)); })+

        #[test]
        fn no_target_is_left_out() {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($target)),+]);
        }
    };
}

smoke!(
    config, database, event, filter, glob, json, keys, names, page, pdu, picture, push_rules,
    search, served, tokens
);
