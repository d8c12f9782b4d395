//! Any bytes as a gob: a gob that can be read can be written, and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use silverback::gorilla::gob::{Gob, GobErrorKind};

fuzz_target!(|bytes: &[u8]| {
    let Ok(gob) = Gob::decode(bytes) else { return };
    let written = match gob.encode() {
        Ok(written) => written,
        // Go reads names that it refuses to write.
        Err(error) if error.kind() == GobErrorKind::Name => return,
        Err(error) => panic!("{error}"),
    };
    let again = Gob::decode(&written).expect("it was just written");
    // Compares bytes, since NaN is not equal to itself.
    assert_eq!(again.encode().expect("it was written before"), written);
});
