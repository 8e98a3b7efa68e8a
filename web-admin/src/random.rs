//! Random bytes from the operating system, for session and draft names and for the key of form fingerprints.

use aws_lc_rs::rand;
use data_encoding::BASE64URL_NOPAD;

/// `N` random bytes.
///
/// # Panics
/// If the system's generator does not work: then no session may exist.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system's random generator works");
    bytes
}

/// A name that cannot be guessed: `N` random bytes as text for cookies, forms and addresses.
pub fn name<const N: usize>() -> String {
    BASE64URL_NOPAD.encode(&bytes::<N>())
}
