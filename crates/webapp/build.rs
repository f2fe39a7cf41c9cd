//! Lists the files of the built web app, so that they are compiled into the program. Without a built
//! web app the list is empty, and the page says so.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
};

const DIST: &str = "../../web/apps/chat/dist";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={DIST}");
    // Asked when it runs: two copies of the project may share one target folder, and so this program.
    let dist = Path::new(&told("CARGO_MANIFEST_DIR")?).join(DIST);
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(&dist, &mut files)?;
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in &files {
        let shown = file.to_string_lossy();
        if shown.ends_with(".br") || shown.ends_with(".gz") {
            continue;
        }
        let path = file.strip_prefix(&dist).map_err(io::Error::other)?.to_string_lossy();
        let mut hasher = DefaultHasher::new();
        fs::read(file)?.hash(&mut hasher);
        let packed = |ending: &str| {
            let packed = PathBuf::from(format!("{shown}.{ending}"));
            if files.contains(&packed) {
                format!("Some(include_bytes!({:?}))", packed.to_string_lossy())
            } else {
                "None".to_owned()
            }
        };
        let (br, gz, tag) = (packed("br"), packed("gz"), hasher.finish());
        writeln!(
            list,
            "    File {{ path: {path:?}, tag: \"\\\"{tag:016x}\\\"\", plain: include_bytes!({shown:?}), br: {br}, gz: {gz} }},",
        )
        .map_err(io::Error::other)?;
    }
    list.push(']');
    fs::write(PathBuf::from(told("OUT_DIR")?).join("files.rs"), list)
}

/// What cargo tells a build script.
fn told(name: &str) -> io::Result<OsString> {
    #[expect(clippy::disallowed_methods, reason = "cargo tells a build script by variables")]
    let value = std::env::var_os(name);
    value.ok_or_else(|| io::Error::other(format!("no {name}")))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
