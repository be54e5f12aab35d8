//! What is asked of the operating system: random bytes, and what it knows about itself.

use std::fs::File;
use std::io::{self, Read as _};

use rustix::rand::GetRandomFlags;

/// `N` random bytes.
///
/// # Errors
///
/// When the system has none to give.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes)
}

/// A word that tells the sequence of one room from that of any other.
pub fn fresh_epoch() -> io::Result<Box<str>> {
    Ok(format!("{:016x}", u64::from_ne_bytes(random()?)).into())
}

/// Memory of this process that is in RAM, in bytes, where that is told (proc_pid_statm(5)).
pub fn resident_memory() -> Option<u64> {
    let pages: u64 = first_line("/proc/self/statm")?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// What tells one boot of the machine from the others, where that is told.
pub fn boot_id() -> Option<Box<str>> {
    first_line("/proc/sys/kernel/random/boot_id")
}

/// The first line of a file of proc(5), if it is not longer than 127 bytes: such a line comes in
/// one read.
fn first_line(path: &str) -> Option<Box<str>> {
    let mut bytes = [0; 128];
    let length = File::open(path).ok()?.read(&mut bytes).ok()?;
    let text = str::from_utf8(bytes.get(..length)?).ok()?;
    Some(text.split_once('\n')?.0.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_says_how_much_memory_is_in_use_and_which_boot_this_is() {
        let memory = resident_memory().unwrap();
        assert!((100 << 10..16 << 30).contains(&memory), "{memory}");
        let boot = boot_id().unwrap();
        assert_eq!(boot.len(), "8f2a1c3e-0000-4000-8000-000000000000".len(), "{boot}");
        assert_eq!(boot_id(), Some(boot));
    }

    #[test]
    fn what_is_not_there_or_not_a_short_line_says_nothing() {
        assert_eq!(first_line("/proc/self/there-is-no-such-file"), None);
        assert_eq!(first_line("/proc/self/cmdline"), None);
        assert_eq!(first_line("/proc/self"), None);
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
