//! The file with the token of a session, with which a client that was killed gets its name back.
//!
//! There is one file for each server and name. A client holds a lock on its file as long as it
//! runs, so that a second client with the same name does not take its session over. The directory
//! and the files are opened without following symbolic links.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, fchmod, flock, fstat, mkdirat, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::Options;
use super::stable_hash::stable_hash;
use super::xdg::state_directory;
use crate::protocol::{case_fold, is_valid_name};

/// The directory of the files, below the directory for the state of the program.
const DIRECTORY: &str = "sessions";
/// The longest file that is read, in bytes.
const MAX_SIZE: u64 = 4096;
/// The most files that are kept, besides those of running clients.
const MAX_FILES: usize = 64;
/// The age at which the file of a client that does not run is removed.
const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The file of one server and name.
pub struct TokenStore {
    directory: OwnedFd,
    file_name: String,
    server: String,
    /// The name, case-folded.
    name: String,
    /// The file with its lock, unless another client has it.
    locked: Option<File>,
}

#[derive(Serialize, Deserialize)]
struct StoredToken {
    server: String,
    name: String,
    token: String,
}

impl TokenStore {
    /// Opens the store for the server and the name in `options`, and moves its token into them.
    ///
    /// Returns `None` without a valid name or a directory.
    pub fn open(options: &mut Options) -> Option<Self> {
        let name = options.config.requested_name().filter(|name| is_valid_name(name))?;
        let server = options.address.to_string();
        let mut store = TokenStore::open_in(&state_directory()?, &server, name).ok()?;
        if let Some(token) = store.read() {
            options.config = options.config.clone().token(token);
        }
        Some(store)
    }

    fn open_in(state_directory: &Path, server: &str, name: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(state_directory)?;
        let path = state_directory.join(DIRECTORY);
        match mkdirat(CWD, &path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, &path, flags, Mode::empty())?;
        if fstat(&directory)?.st_uid != geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        fchmod(&directory, Mode::RWXU)?;
        let (server, name) = (server.to_owned(), case_fold(name));
        let file_name = format!("{:016x}", stable_hash(&format!("{server}\n{name}")));
        Ok(TokenStore { directory, file_name, server, name, locked: None })
    }

    /// Returns the stored token of a client that does not run any more.
    fn read(&mut self) -> Option<String> {
        if !self.lock().unwrap_or(false) {
            return None;
        }
        let mut text = String::new();
        self.locked.as_mut()?.take(MAX_SIZE).read_to_string(&mut text).ok()?;
        let stored: StoredToken = serde_json::from_str(&text).ok()?;
        let is_own = stored.server == self.server && stored.name == self.name;
        is_own.then_some(stored.token)
    }

    /// Stores a token if `name` is the name of this store, and otherwise removes the stored one:
    /// the next client asks for the name of the store and not for the present one.
    pub fn update(&mut self, name: &str, token: &str) {
        // Ignored: without the file, the name is reserved for a minute after a crash.
        if case_fold(name) == self.name {
            let _ = self.write(token);
        } else {
            self.remove();
        }
    }

    fn write(&mut self, token: &str) -> io::Result<()> {
        if !self.lock()? {
            return Ok(());
        }
        let (server, name) = (self.server.clone(), self.name.clone());
        let line = serde_json::to_string(&StoredToken { server, name, token: token.into() })?;
        let temporary = format!("{}.{}", self.file_name, std::process::id());
        let _ = unlinkat(&self.directory, &temporary, AtFlags::empty());
        let mut file = self.create(&temporary)?;
        // Before it replaces the other, so that the session is locked all the time.
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let written = file.write_all(line.as_bytes());
        let renamed = written.and_then(|()| {
            Ok(renameat(&self.directory, &temporary, &self.directory, &self.file_name)?)
        });
        match renamed {
            Ok(()) => self.locked = Some(file),
            Err(_) => unlinkat(&self.directory, &temporary, AtFlags::empty())?,
        }
        renamed
    }

    /// Removes the file. The caller has left the room, so that its name is free.
    pub fn remove(&mut self) {
        if self.locked.is_some() {
            let _ = unlinkat(&self.directory, &self.file_name, AtFlags::empty());
            self.locked = None;
        }
    }

    /// Locks the file, which is created if it does not exist. Returns false if another client has
    /// locked it.
    fn lock(&mut self) -> io::Result<bool> {
        while self.locked.is_none() {
            let file = match self.open_existing(&self.file_name) {
                Err(Errno::NOENT) => {
                    self.remove_old_files();
                    match self.create(&self.file_name) {
                        Err(Errno::EXIST) => continue,
                        result => result?,
                    }
                }
                result => result?,
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => return Ok(false),
                result => result?,
            }
            // Another client may have replaced or removed the file before it was locked here.
            let present = statat(&self.directory, &self.file_name, AtFlags::SYMLINK_NOFOLLOW);
            if present.is_ok_and(|present| is_same_file(&file, present.st_ino)) {
                self.locked = Some(file);
            }
        }
        Ok(true)
    }

    fn open_existing(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&self.directory, name, flags, Mode::empty()).map(File::from)
    }

    fn create(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }

    /// Removes the files of clients that do not run: those that are too old, and the oldest of
    /// more than [`MAX_FILES`]. Errors are ignored.
    fn remove_old_files(&self) {
        let Ok(entries) = Dir::read_from(&self.directory) else { return };
        let mut files: Vec<(i64, String)> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().to_str().ok()?.to_owned();
                let stat = statat(&self.directory, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
                (!name.starts_with('.')).then_some((stat.st_mtime as i64, name))
            })
            .collect();
        files.sort_unstable();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest_kept = now.saturating_sub(MAX_AGE).as_secs() as i64;
        let excess = (files.len() + 1).saturating_sub(MAX_FILES);
        for (index, (modified, name)) in files.iter().enumerate() {
            if index >= excess && *modified >= oldest_kept {
                continue;
            }
            if let Ok(file) = self.open_existing(name)
                && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                let _ = unlinkat(&self.directory, name, AtFlags::empty());
            }
        }
    }
}

impl Drop for TokenStore {
    fn drop(&mut self) {
        let size =
            self.locked.as_ref().and_then(|file| file.metadata().ok()).map(|file| file.len());
        if size == Some(0) {
            self.remove();
        }
    }
}

fn is_same_file(file: impl AsFd, inode: u64) -> bool {
    fstat(file).is_ok_and(|stat| stat.st_ino == inode)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;
    use crate::app::temp_dir::TempDir;

    impl TempDir {
        fn open(&self, server: &str, name: &str) -> TokenStore {
            TokenStore::open_in(&self.path("state"), server, name).unwrap()
        }

        fn files(&self) -> Vec<PathBuf> {
            let entries = fs::read_dir(self.path("state").join(DIRECTORY)).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        }
    }

    #[test]
    fn token_of_killed_client_is_read() {
        let dir = TempDir::new();
        let mut store = dir.open("router", "Alice");
        assert_eq!(store.read(), None);
        store.update("alice", "one");
        store.update("alice", "two");
        drop(store);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let files = dir.files();
        assert_eq!((files.len(), mode(&files[0])), (1, 0o600));
        assert_eq!(mode(files[0].parent().unwrap()), 0o700);
        assert_eq!(dir.open("other", "alice").read(), None);
        assert_eq!(dir.open("router", "bob").read(), None);
        let mut store = dir.open("router", "alice");
        assert_eq!(store.read().as_deref(), Some("two"));
        store.update("alice-2", "three");
        assert_eq!(dir.open("router", "alice").read(), None);
    }

    #[test]
    fn token_of_running_client_is_not_read() {
        let dir = TempDir::new();
        let mut first = dir.open("router", "alice");
        let mut second = dir.open("router", "alice");
        assert_eq!(first.read(), None);
        assert_eq!(second.read(), None);
        first.update("alice", "one");
        second.update("alice", "two");
        assert_eq!(dir.open("router", "alice").read(), None);
        first.remove();
        second.update("alice", "two");
        drop((first, second));
        assert_eq!(dir.open("router", "alice").read().as_deref(), Some("two"));
    }

    #[test]
    fn symbolic_links_are_not_followed() {
        let dir = TempDir::new();
        dir.open("router", "alice").update("alice", "one");
        let (file, target) = (dir.files().remove(0), dir.path("target"));
        fs::rename(&file, &target).unwrap();
        symlink(&target, &file).unwrap();
        let mut store = dir.open("router", "alice");
        assert_eq!(store.read(), None);
        store.update("alice", "two");
        assert!(fs::read_to_string(&target).unwrap().contains("one"));
        let sessions = file.parent().unwrap();
        fs::rename(sessions, dir.path("elsewhere")).unwrap();
        symlink(dir.path("elsewhere"), sessions).unwrap();
        assert!(TokenStore::open_in(&dir.path("state"), "router", "alice").is_err());
    }

    #[test]
    fn number_and_age_of_files_are_bounded() {
        let dir = TempDir::new();
        let mut running = dir.open("router", "running");
        running.update("running", "token");
        for number in 0..2 * MAX_FILES {
            let name = format!("bot-{number}");
            dir.open("router", &name).update(&name, "token");
        }
        assert!(dir.files().len() <= MAX_FILES + 1, "{}", dir.files().len());
        let old = SystemTime::now() - MAX_AGE - Duration::from_secs(60);
        for file in dir.files() {
            File::open(file).unwrap().set_modified(old).unwrap();
        }
        dir.open("router", "alice").update("alice", "one");
        assert_eq!(dir.files().len(), 2, "those of the running client and of alice");
    }
}
