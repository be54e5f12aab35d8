//! The file of the bans, the mutes, the lock and the topic of a room.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::os::read_bounded;
use crate::room::Moderation;

/// The most bytes of the file that are read.
const MAX_BYTES: usize = 1 << 20;

const HEADER: &str = "# The bans of smolchatd, which rewrites this file; it reads changes on \
                      SIGHUP.\n# ban|mute ADDR[/BITS] END|- OPERATOR [REASON]\n";

/// A file that is read at the start, and rewritten after each change.
#[derive(Debug)]
pub struct BanFile {
    path: PathBuf,
}

impl BanFile {
    /// Creates a handle for the file at a path, which need not exist.
    pub fn new(path: PathBuf) -> Self {
        BanFile { path }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. One that does not exist is empty. An invalid line is logged and left out.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or is larger than 1 MiB.
    pub fn read(&self) -> io::Result<Moderation> {
        let text = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            file => read_bounded(file?, MAX_BYTES)?,
        };
        let (measures, invalid) = Moderation::parse(&text);
        if let Some(line) = invalid {
            log::warn!("{}: line {line} is invalid and left out", self.path.display());
        }
        Ok(measures)
    }

    /// Replaces the file, so that it has either the old or the new text.
    ///
    /// # Errors
    ///
    /// Returns an error if the new file cannot be written next to the old one.
    pub fn write(&self, measures: &Moderation) -> io::Result<()> {
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let mut file = File::create(&new)?;
        file.write_all(format!("{HEADER}{measures}").as_bytes())?;
        file.sync_data()?;
        fs::rename(&new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_replaced_and_read_back() {
        let name = format!("smolchat-bans-{}", std::process::id());
        let file = BanFile::new(std::env::temp_dir().join(name));
        assert_eq!(file.read().unwrap(), Moderation::default());
        for text in ["topic one\nban 192.0.2.1 - root spam\n", "mute 2001:db8::/64 - root\n", ""] {
            let (measures, _) = Moderation::parse(text);
            file.write(&measures).unwrap();
            assert_eq!(file.read().unwrap(), measures);
            assert!(fs::read_to_string(file.path()).unwrap().ends_with(text));
        }
        fs::write(file.path(), "#".repeat(MAX_BYTES + 1)).unwrap();
        assert!(file.read().is_err());
        fs::write(file.path(), [0xff]).unwrap();
        assert!(file.read().is_err());
        fs::remove_file(file.path()).unwrap();
        let file = BanFile::new("/nonexistent/bans".into());
        assert!(file.write(&Moderation::default()).is_err());
    }
}
