//! Queries to the operating system: random bytes, memory use and the boot id.

#![doc(hidden)]

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};

use rustix::rand::GetRandomFlags;

/// The file of proc(5) with the boot id.
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";
/// The environment variable with the boot id, for a service that cannot read [`BOOT_ID_FILE`].
const BOOT_ID_VARIABLE: &str = "SMOLCHATD_BOOT_ID";

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

/// Returns the set of signals that this process ignores, with bit N - 1 for signal N, or an empty
/// set without /proc (proc_pid_status(5)).
pub(crate) fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Returns the random id of the current boot of the machine, in the form of the kernel.
///
/// The kernel's own file has precedence: an environment can be inherited from an earlier boot.
///
/// # Errors
///
/// Returns the reason if the id is not known.
pub(crate) fn boot_id() -> Result<Box<str>, String> {
    choose_boot_id(read_first_line(BOOT_ID_FILE), env::var_os(BOOT_ID_VARIABLE))
}

fn choose_boot_id(line: Option<Box<str>>, variable: Option<OsString>) -> Result<Box<str>, String> {
    if let Some(id) = line.as_deref().and_then(parse_boot_id) {
        return Ok(id);
    }
    let Some(variable) = variable else {
        return Err(format!("{BOOT_ID_FILE} is hidden and {BOOT_ID_VARIABLE} is not set"));
    };
    variable.to_str().and_then(parse_boot_id).ok_or_else(|| {
        format!("{BOOT_ID_VARIABLE} is {variable:?}, expected 32 hexadecimal digits")
    })
}

/// Parses a boot id as the kernel writes it, or as systemd does, without hyphens.
fn parse_boot_id(text: &str) -> Option<Box<str>> {
    let digits = text.replace('-', "");
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let id = u128::from_str_radix(&digits, 16).ok().filter(|&id| id != 0)?;
    let group = |shift: u32| (id >> shift) & 0xffff;
    let (last, [b, c, d]) = (id & 0xffff_ffff_ffff, [80, 64, 48].map(group));
    Some(format!("{:08x}-{b:04x}-{c:04x}-{d:04x}-{last:012x}", id >> 96).into())
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
        assert_eq!(boot_id(), Ok(boot));
    }

    #[test]
    fn boot_id_of_kernel_precedes_variable() {
        let kernel = "8f2a1c3e-0000-4000-8000-00000000000d";
        let systemd = "8F2A1C3E00004000800000000000000D";
        let choose = |line: Option<&str>, variable: Option<&str>| {
            choose_boot_id(line.map(Into::into), variable.map(Into::into))
        };
        assert_eq!(choose(Some(kernel), Some("stale")), Ok(kernel.into()));
        assert_eq!(choose(Some(kernel), None), Ok(kernel.into()));
        assert_eq!(choose(None, Some(systemd)), Ok(kernel.into()));
        assert_eq!(choose(Some("(hidden)"), Some(kernel)), Ok(kernel.into()));
        assert!(choose(None, None).unwrap_err().ends_with("SMOLCHATD_BOOT_ID is not set"));
    }

    #[test]
    fn malformed_boot_id_is_an_error() {
        let zeros = "0".repeat(32);
        for variable in ["", "%b", "boot", &zeros, &"f".repeat(31), &"+".repeat(32), "ü"] {
            let error = choose_boot_id(None, Some(variable.into())).unwrap_err();
            assert!(error.ends_with("expected 32 hexadecimal digits"), "{error}");
        }
    }

    #[test]
    fn missing_file_or_long_line_is_none() {
        assert_eq!(read_first_line("/proc/self/there-is-no-such-file"), None);
        assert_eq!(read_first_line("/proc/self/cmdline"), None);
        assert_eq!(read_first_line("/proc/self"), None);
    }

    #[test]
    fn random_bytes_differ_between_calls() {
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
