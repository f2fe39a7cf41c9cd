//! Sync tokens come back from clients: whatever is read is written the same way.
#![no_main]

use haechi_base::Positions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(positions) = text.parse::<Positions>() {
        let again: Positions = positions.to_string().parse().unwrap();
        assert_eq!(again, positions);
        assert!(positions.reaches(&again) && again.ranges_to(&positions).is_empty());
    }
});
