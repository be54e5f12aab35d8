//! Queries to the operating system: random bytes, regular files, memory use, the boot id, the
//! controlling terminal, ignored signals and groups.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::rand::GetRandomFlags;

/// The character that some editors and runtimes write at the start of a text.
pub const BYTE_ORDER_MARK: &str = "\u{FEFF}";
const NOT_REGULAR: &str = "expected a regular file, not a directory, pipe, socket or device";

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

/// Opens a regular file, or a link to one, for reading.
///
/// Opening a pipe would wait for its other end, and a pipe cannot be read again.
///
/// # Errors
///
/// Returns an error if the file cannot be opened, or if it is a pipe, a device, a directory or a
/// socket.
#[inline(never)]
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        // A socket, or a device without a driver.
        Err(Errno::NXIO | Errno::NODEV) => return Err(io::Error::other(NOT_REGULAR)),
        file => File::from(file?),
    };
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(file),
        _ => Err(io::Error::other(NOT_REGULAR)),
    }
}

/// Returns the text of a file, without a byte order mark at its start.
///
/// # Errors
///
/// Returns an error if the file cannot be read, is not UTF-8, or is larger than `max` bytes.
pub fn read_bounded(file: File, max: usize) -> io::Result<String> {
    let mut bytes = vec![0; max + 1];
    let mut length = 0;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(&file, rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if length > max {
        return Err(io::Error::other(format!("it is too large, expected at most {max} bytes")));
    }
    bytes.truncate(length);
    let text = str::from_utf8(strip_byte_order_mark(&bytes));
    text.map(str::to_owned).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// Checks that the mode of a file with a secret has none of the bits of `forbidden`.
///
/// # Errors
///
/// Returns an error if it has one, or the error of the system.
pub fn check_mode(file: &File, forbidden: u32) -> io::Result<()> {
    let mode = rustix::fs::fstat(file)?.st_mode & 0o777;
    if mode & forbidden == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("it has mode {mode:04o}, expected 0600")))
}

/// Returns a text without a byte order mark at its start.
pub fn strip_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(text)
}

/// Returns the resident memory of this process in bytes, or `None` without /proc
/// (proc_pid_statm(5)).
pub(crate) fn resident_memory() -> Option<u64> {
    let pages: u64 = read_first_line("/proc/self/statm")?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
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
    let mut id = text.replace('-', "").to_ascii_lowercase();
    let is_hexadecimal = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if id.len() != 32 || !is_hexadecimal || id.bytes().all(|byte| byte == b'0') {
        return None;
    }
    for at in [20, 16, 12, 8] {
        id.insert(at, '-');
    }
    Some(id.into())
}

/// Returns whether this process has a controlling terminal (tty(4)).
pub fn has_controlling_terminal() -> bool {
    // Without NONBLOCK, opening a serial line can wait for its carrier.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open("/dev/tty", flags, Mode::empty()).is_ok()
}

/// Returns whether this process ignores the signal with a number, as nohup(1) arranges it for
/// SIGHUP. Without /proc (proc_pid_status(5)) it returns `false`.
pub fn is_signal_ignored(number: i32) -> bool {
    let status = read_text("/proc/self/status");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

/// Returns the number of a group, given its name in /etc/group (group(5)) or the number itself.
///
/// The static builds have no name service, so other sources of groups are not read.
pub(crate) fn group_id(name: &str) -> Option<u32> {
    find_group(&read_text("/etc/group"), name).or_else(|| name.parse().ok())
}

/// Returns the number of the group `name` in the text of a group(5) file.
fn find_group(file: &str, name: &str) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_group = fields.next() == Some(name);
        fields.nth(1).filter(|_| is_group)?.parse().ok()
    })
}

/// Returns the text of a file, or as much as can be read.
fn read_text(path: &str) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    if let Ok(mut file) = File::open(path) {
        // Not `fs::read`: its code would be a kilobyte of the program.
        while let Ok(len @ 1..) = file.read(&mut buffer) {
            text.extend_from_slice(buffer.get(..len).unwrap_or_default());
        }
    }
    String::from_utf8_lossy(&text).into_owned()
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
    fn file_that_is_not_regular_is_refused() {
        use std::os::unix::{fs::symlink, net::UnixListener};

        let folder = env::temp_dir().join(format!("smolchat-regular-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let fifo = std::process::Command::new("mkfifo").arg(path("pipe")).status();
        assert!(fifo.unwrap().success());
        let _listener = UnixListener::bind(path("socket")).unwrap();
        symlink(path("pipe"), path("link-to-pipe")).unwrap();
        for path in
            [path("pipe"), path("socket"), path("link-to-pipe"), folder.clone(), "/dev/null".into()]
        {
            let error = open_regular(&path).unwrap_err().to_string();
            assert!(error.starts_with("expected a regular file"), "{path:?}: {error}");
        }
        std::fs::write(path("file"), "\u{FEFF}text").unwrap();
        symlink(path("file"), path("link")).unwrap();
        let file = open_regular(&path("link")).unwrap();
        assert_eq!(read_bounded(file, 7).unwrap(), "text");
        let error = read_bounded(open_regular(&path("file")).unwrap(), 6).unwrap_err();
        assert_eq!(error.to_string(), "it is too large, expected at most 6 bytes");
        std::fs::remove_dir_all(folder).unwrap();
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
