//! Contents come from clients: our canonical JSON is the one ruma makes, or both refuse.
#![no_main]

use haechi_matrix::json::Json;
use libfuzzer_sys::fuzz_target;
use ruma::CanonicalJsonValue;

fuzz_target!(|text: &str| {
    let ours = Json::parse(text).ok().map(|json| {
        let mut out = String::new();
        json.write(&mut out);
        out
    });
    let theirs: Option<CanonicalJsonValue> = serde_json::from_str(text).ok();
    assert_eq!(ours, theirs.map(|json| json.to_string()));
});
