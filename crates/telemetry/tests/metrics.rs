//! The metrics as they are scraped, and the list of them against the sources.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use haechi_telemetry::{METRICS, Recorder, render_reference};

fn root() -> PathBuf {
    // Cargo runs tests in the folder of their package.
    PathBuf::from("../..")
}

#[test]
fn what_is_recorded_is_rendered() {
    let recorder = Recorder::install("1.2.3").unwrap();
    metrics::histogram!("test_wait_seconds").record(0.002);
    metrics::histogram!("test_group_works").record(3.0);
    let text = recorder.render();
    for line in [
        "haechi_build_info{version=\"1.2.3\"} 1",
        "# TYPE process_resident_memory_bytes gauge",
        "test_wait_seconds_bucket{le=\"0.0025\"} 1",
        "test_wait_seconds_bucket{le=\"0.001\"} 0",
        "test_group_works_bucket{le=\"4\"} 1",
    ] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
    assert!(Recorder::install("1.2.3").is_err(), "twice in one process");
}

#[test]
fn list_and_sources_agree() {
    let mut used = BTreeSet::new();
    for krate in fs::read_dir(root().join("crates")).unwrap() {
        names_in(&krate.unwrap().path().join("src"), &mut used);
    }
    let listed: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    let unlisted: Vec<_> = used.difference(&listed).collect();
    let unused: Vec<_> = listed.difference(&used).collect();
    assert!(
        unlisted.is_empty() && unused.is_empty(),
        "METRICS in crates/telemetry/src/metrics_list.rs lacks {unlisted:?} and lists in vain {unused:?}"
    );
}

#[test]
fn written_page_is_in_step() {
    let path = root().join("docs/metrics.md");
    let wanted = render_reference();
    if fs::read_to_string(&path).ok().as_ref() != Some(&wanted) {
        fs::write(&path, wanted).unwrap();
        panic!("docs/metrics.md was out of date; it has just been rewritten: commit it");
    }
}

/// Collects the names in `counter!("..")`, `gauge!("..")` and `histogram!("..")` below `dir`.
fn names_in(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            names_in(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for call in ["counter!(", "gauge!(", "histogram!("] {
                let calls = text.split(call).skip(1);
                let literals = calls.filter_map(|rest| rest.trim_start().strip_prefix('"'));
                names.extend(literals.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
}
