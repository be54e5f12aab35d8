//! Queries to the operating system: random bytes, memory use, the boot id, the controlling
//! terminal, ignored signals and groups.

#![doc(hidden)]

use std::fs::{self, File};
use std::io::{self, Read as _};

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustix::rand::GetRandomFlags;

/// Returns `N` random bytes from getrandom(2).
///
/// # Errors
///
/// Returns the error of the system call.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes)
}

/// Returns a random word that identifies a new sequence of frame numbers.
///
/// # Errors
///
/// Returns an error if the system has no random bytes.
pub fn fresh_epoch() -> io::Result<Box<str>> {
    Ok(format!("{:016x}", u64::from_ne_bytes(random()?)).into())
}

/// Returns the resident memory of this process in bytes, or `None` without /proc
/// (proc_pid_statm(5)).
pub(crate) fn resident_memory() -> Option<u64> {
    let pages: u64 = read_first_line("/proc/self/statm")?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Returns the random id of the current boot of the machine, or `None` without /proc.
pub(crate) fn boot_id() -> Option<Box<str>> {
    read_first_line("/proc/sys/kernel/random/boot_id")
}

/// Returns whether this process has a controlling terminal (tty(4)).
pub fn has_controlling_terminal() -> bool {
    // Without NONBLOCK, opening a serial line can wait for its carrier.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open("/dev/tty", flags, Mode::empty()).is_ok()
}

/// Returns whether this process ignores a signal, as nohup(1) arranges it for SIGHUP. Without
/// /proc it returns `false`.
pub fn is_signal_ignored(signal: Signal) -> bool {
    let status = fs::read("/proc/self/status").unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

/// Returns the number of a group, given its name in /etc/group (group(5)) or the number itself.
///
/// The static builds have no name service, so other sources of groups are not read.
pub(crate) fn group_id(name: &str) -> Option<u32> {
    let file = fs::read("/etc/group").unwrap_or_default();
    let file = String::from_utf8_lossy(&file);
    find_group(&file, name).or_else(|| name.parse().ok())
}

/// Returns the number of the group `name` in the text of a group(5) file.
fn find_group(file: &str, name: &str) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_group = fields.next() == Some(name);
        fields.nth(1).filter(|_| is_group)?.parse().ok()
    })
}

/// Returns the first line of a file of proc(5), or `None` if it is longer than 127 bytes.
///
/// The kernel returns such a line in one read.
fn read_first_line(path: &str) -> Option<Box<str>> {
    let mut bytes = [0; 128];
    let len = File::open(path).ok()?.read(&mut bytes).ok()?;
    let text = str::from_utf8(bytes.get(..len)?).ok()?;
    Some(text.split_once('\n')?.0.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_and_boot_id_are_known() {
        let memory = resident_memory().unwrap();
        assert!((100 << 10..16 << 30).contains(&memory), "{memory}");
        let boot = boot_id().unwrap();
        assert_eq!(boot.len(), "8f2a1c3e-0000-4000-8000-000000000000".len(), "{boot}");
        assert_eq!(boot_id(), Some(boot));
    }

    #[test]
    fn missing_file_or_long_line_is_none() {
        assert_eq!(read_first_line("/proc/self/there-is-no-such-file"), None);
        assert_eq!(read_first_line("/proc/self/cmdline"), None);
        assert_eq!(read_first_line("/proc/self"), None);
    }

    #[test]
    fn group_is_found_by_name_before_number() {
        let file = "root:x:0:\n# comment\nchat:x:27:alice,bob\n7:x:1007:\nbad\nbad:x:y:\n";
        assert_eq!(find_group(file, "root"), Some(0));
        assert_eq!(find_group(file, "chat"), Some(27));
        assert_eq!(find_group(file, "7"), Some(1007));
        for unknown in ["alice", "x", "27", "bad", "", "chat:x"] {
            assert_eq!(find_group(file, unknown), None, "{unknown}");
        }
        assert_eq!(group_id("root"), Some(0));
        assert_eq!(group_id("54321"), Some(54321));
        assert_eq!(group_id("there-is-no-such-group"), None);
    }

    #[test]
    fn random_bytes_differ_between_calls() {
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
