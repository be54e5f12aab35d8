//! A hash that is the same in all versions of the program.

/// Returns the 64-bit FNV-1a hash of a text.
///
/// The hash of the standard library may change with a release.
pub fn stable_hash(text: &str) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
