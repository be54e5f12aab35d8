//! The file of the bans, the mutes, the lock and the topic of a room.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::os::{open_regular, read_bounded};
use crate::room::Moderation;

/// The most bytes of the file that are read.
const MAX_BYTES: usize = 1 << 20;

const HEADER: &str = "# The bans of smolchatd, which rewrites this file; it reads changes on \
                      SIGHUP.\n# ban|mute ADDR[/BITS] END|- OPERATOR [REASON]\n";

/// A file that is read at the start, and rewritten after each change.
#[derive(Debug)]
pub struct BanFile {
    path: PathBuf,
    /// The last write failed.
    is_outdated: bool,
}

impl BanFile {
    /// Creates a handle for the file at a path, which need not exist.
    pub fn new(path: PathBuf) -> Self {
        BanFile { path, is_outdated: false }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the last write failed.
    pub fn is_outdated(&self) -> bool {
        self.is_outdated
    }

    /// Writes the file. Logs an error, and no other until a write succeeds.
    pub fn save(&mut self, moderation: &Moderation) {
        let result = self.write(moderation);
        let was_outdated = std::mem::replace(&mut self.is_outdated, result.is_err());
        if let Err(error) = result
            && !was_outdated
        {
            let path = self.path.display();
            log::error!("cannot write --ban-file {path}: {error}; the bans hold until the end");
        }
    }

    /// Reads the file, at a time in seconds since 1970. A file that does not exist is taken as empty.
    /// Invalid lines are left out, and the numbers of the first ones are logged.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or is larger than 1 MiB.
    pub fn read(&self, now: u64) -> io::Result<Moderation> {
        let (moderation, invalid) = Moderation::parse(&self.read_text()?, now);
        for line in invalid {
            let path = self.path.display();
            log::warn!("{path}: line {line} is invalid; the next write removes it");
        }
        Ok(moderation)
    }

    /// Checks that the file can be read, if it exists.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or is larger than 1 MiB.
    pub fn check_readable(&self) -> io::Result<()> {
        self.read_text().map(drop)
    }

    fn read_text(&self) -> io::Result<String> {
        match open_regular(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            file => read_bounded(file?, MAX_BYTES),
        }
    }

    /// Replaces the file, so that it has either the old or the new text. Only the user of the server
    /// can read a file that did not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the new file cannot be written next to the old one.
    pub fn write(&self, moderation: &Moderation) -> io::Result<()> {
        let (path, new) = self.paths();
        let mut file = create(&new)?;
        if let Ok(old) = fs::metadata(&path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(format!("{HEADER}{moderation}").as_bytes())?;
        file.sync_data()?;
        fs::rename(&new, &path)
    }

    /// Checks that the file can be replaced: creates the new file of [`write`](Self::write), and removes
    /// it.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be created.
    pub fn check_writable(&self) -> io::Result<()> {
        let (_, new) = self.paths();
        create(&new)?;
        fs::remove_file(&new)
    }

    /// Returns the path of the file, or of the file that a link names, and that of a new one beside
    /// it.
    fn paths(&self) -> (PathBuf, PathBuf) {
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let mut new = path.clone().into_os_string();
        new.push(".new");
        (path, new.into())
    }
}

fn create(path: &Path) -> io::Result<File> {
    // A file of an earlier write that failed, or another kind of file, which could block.
    let _ = fs::remove_file(path);
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_and_mode_of_the_file_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let path = |end| {
            let name = format!("smolchat-bans-{end}-{}", std::process::id());
            std::env::temp_dir().join(name)
        };
        let (target, link) = (path("target"), path("link"));
        fs::write(&target, "").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&target, &link).unwrap();
        let file = BanFile::new(link.clone());
        let (moderation, _) = Moderation::parse("topic one\n", 0);
        file.write(&moderation).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(file.read(0).unwrap(), moderation);
        fs::remove_file(&link).unwrap();
        fs::remove_file(&target).unwrap();
    }

    #[test]
    fn new_file_is_private() {
        use std::os::unix::fs::PermissionsExt;

        let name = format!("smolchat-private-bans-{}", std::process::id());
        let file = BanFile::new(std::env::temp_dir().join(name));
        file.write(&Moderation::default()).unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(file.path()).unwrap();
    }

    #[test]
    fn failed_write_is_outdated_until_the_next() {
        let folder = std::env::temp_dir().join(format!("smolchat-no-bans-{}", std::process::id()));
        let mut file = BanFile::new(folder.join("bans"));
        let moderation = Moderation::default();
        file.save(&moderation);
        assert!(file.is_outdated());
        fs::create_dir(&folder).unwrap();
        file.save(&moderation);
        assert!(!file.is_outdated());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn pipe_in_place_of_the_new_file_is_removed() {
        let name = format!("smolchat-bans-pipe-{}", std::process::id());
        let file = BanFile::new(std::env::temp_dir().join(name));
        let new = file.path().with_extension("new");
        let made = std::process::Command::new("mkfifo").args([file.path(), &new]).status();
        assert!(made.unwrap().success());
        assert!(file.read(0).unwrap_err().to_string().starts_with("expected a regular file"));
        file.write(&Moderation::default()).unwrap();
        assert_eq!(file.read(0).unwrap(), Moderation::default());
        fs::remove_file(file.path()).unwrap();
    }

    #[test]
    fn file_is_replaced_and_read_back() {
        let name = format!("smolchat-bans-{}", std::process::id());
        let file = BanFile::new(std::env::temp_dir().join(name));
        assert_eq!(file.read(0).unwrap(), Moderation::default());
        for text in ["topic one\nban 192.0.2.1 - root spam\n", "mute 2001:db8::/64 - root\n", ""] {
            let (moderation, _) = Moderation::parse(text, 0);
            file.write(&moderation).unwrap();
            assert_eq!(file.read(0).unwrap(), moderation);
            assert!(fs::read_to_string(file.path()).unwrap().ends_with(text));
        }
        fs::write(file.path(), "#".repeat(MAX_BYTES + 1)).unwrap();
        assert!(file.read(0).is_err());
        fs::write(file.path(), [0xff]).unwrap();
        assert!(file.read(0).is_err());
        fs::remove_file(file.path()).unwrap();
        let file = BanFile::new("/nonexistent/bans".into());
        assert!(file.write(&Moderation::default()).is_err());
    }
}
