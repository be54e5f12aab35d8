//! Snapshots: the room and the replica as bytes, in parts, with a manifest that is written last.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::entry::SnapshotNotice;
use super::replica::Replica;
use super::sum::{Digest, digest};

/// The version of snapshots that this build writes, and the only one that it reads.
const VERSION: u32 = 1;
/// The bytes of a part.
pub const PART: usize = 256 * 1024;
/// The bytes of the log from one snapshot to the next.
pub const SNAPSHOT_EVERY: u64 = 8 * 1024 * 1024;
/// The most bytes of a snapshot.
const MAX_SNAPSHOT: u64 = 256 * 1024 * 1024;

/// The list of the parts of a snapshot. It is written after them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Manifest {
    /// The version of the format.
    pub v: u32,
    /// The name of the snapshot, which is in the subjects of its parts.
    pub id: String,
    /// When the stream of the log was created. A snapshot of another stream cannot be used.
    pub created: i64,
    /// The last position of the log in the snapshot.
    pub position: u64,
    /// The number of the first part in the stream of the snapshots.
    pub first: u64,
    /// The number of parts.
    pub parts: u32,
    /// The bytes of all parts.
    pub bytes: u64,
    /// The hash of these bytes.
    pub sum: u64,
    /// The snapshot before, if it is kept.
    pub previous: Option<Previous>,
}

/// The snapshot before another one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Previous {
    /// The name of the snapshot.
    pub id: String,
    /// The last position of the log in the snapshot.
    pub position: u64,
    /// The number of its first part in the stream of the snapshots.
    pub first: u64,
    /// The number of its manifest in that stream.
    pub manifest: u64,
}

/// A snapshot for the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedSnapshot {
    /// The name of the snapshot.
    pub id: String,
    /// The position, for the log.
    pub notice: SnapshotNotice,
    /// The bytes of all parts.
    pub bytes: Vec<u8>,
}

/// The reason why a snapshot cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SnapshotError {
    /// The snapshot has a version that this build does not know.
    UnknownVersion(u32),
    /// The snapshot is of another stream.
    OtherStream,
    /// Parts are missing, damaged or too long.
    Damaged,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVersion(version) => {
                write!(f, "version {version} of a snapshot; expected {VERSION}")
            }
            Self::OtherStream => f.write_str("the snapshot is of another stream"),
            Self::Damaged => f.write_str("the snapshot is incomplete or damaged"),
        }
    }
}

impl std::error::Error for SnapshotError {}

#[derive(Deserialize)]
struct SnapshotVersion {
    v: u32,
}

#[derive(Serialize)]
struct BodyRef<'a, S> {
    v: u32,
    replica: &'a Replica,
    room: &'a S,
}

#[derive(Deserialize)]
struct SnapshotBody<S> {
    replica: Replica,
    room: S,
}

/// Encodes the state of the replica and of the room behind the last entry whose effects were added.
pub fn encode<S: Serialize>(inc: u64, replica: &Replica, room: &S) -> EncodedSnapshot {
    let notice = replica.snapshot_notice();
    let bytes = serde_json::to_vec(&BodyRef { v: VERSION, replica, room }).unwrap_or_default();
    EncodedSnapshot { id: format!("{}-{inc:016x}", notice.position), notice, bytes }
}

/// Decodes the state of a replica and of its room.
///
/// # Errors
///
/// Returns an error if the bytes are no snapshot of this version.
pub fn decode<S: DeserializeOwned>(bytes: &[u8]) -> Result<(Replica, S), SnapshotError> {
    let version: SnapshotVersion =
        serde_json::from_slice(bytes).map_err(|_| SnapshotError::Damaged)?;
    if version.v != VERSION {
        return Err(SnapshotError::UnknownVersion(version.v));
    }
    let body: SnapshotBody<S> =
        serde_json::from_slice(bytes).map_err(|_| SnapshotError::Damaged)?;
    Ok((body.replica.restored(), body.room))
}

impl EncodedSnapshot {
    /// Returns the parts, in their order.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(PART)
    }

    /// Returns the manifest. `first` is the number of the first part, and `before` the last manifest,
    /// of this stream or of an earlier one, with its number.
    pub fn manifest(&self, created: i64, first: u64, before: Option<(u64, Manifest)>) -> Manifest {
        let before = before.filter(|(_, before)| before.created == created);
        let before = before.filter(|(_, before)| before.position < self.notice.position);
        Manifest {
            v: VERSION,
            id: self.id.clone(),
            created,
            position: self.notice.position,
            first,
            parts: self.parts().count().try_into().unwrap_or(u32::MAX),
            bytes: self.bytes.len() as u64,
            sum: digest(&self.bytes),
            previous: before.map(|(manifest, Manifest { id, position, first, .. })| Previous {
                id,
                position,
                first,
                manifest,
            }),
        }
    }
}

impl Manifest {
    /// Decodes a manifest of the stream that was created at `created`.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are no manifest of this version and stream.
    pub fn decode(bytes: &[u8], created: i64) -> Result<Self, SnapshotError> {
        let version: SnapshotVersion =
            serde_json::from_slice(bytes).map_err(|_| SnapshotError::Damaged)?;
        if version.v != VERSION {
            return Err(SnapshotError::UnknownVersion(version.v));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|_| SnapshotError::Damaged)?;
        if manifest.created != created {
            return Err(SnapshotError::OtherStream);
        }
        let expected = manifest.bytes.div_ceil(PART as u64);
        if manifest.bytes > MAX_SNAPSHOT || u64::from(manifest.parts) != expected {
            return Err(SnapshotError::Damaged);
        }
        Ok(manifest)
    }
}

/// Joins the parts of a snapshot.
#[derive(Debug)]
pub struct Assembler {
    manifest: Manifest,
    digest: Digest,
    bytes: Vec<u8>,
}

impl Assembler {
    /// Creates an assembler without parts.
    pub fn new(manifest: Manifest) -> Self {
        Assembler { manifest, digest: Digest::new(), bytes: Vec::new() }
    }

    /// Adds the next part.
    ///
    /// # Errors
    ///
    /// Returns an error if the parts are longer than the manifest says.
    pub fn push(&mut self, part: &[u8]) -> Result<(), SnapshotError> {
        if (self.bytes.len() + part.len()) as u64 > self.manifest.bytes {
            return Err(SnapshotError::Damaged);
        }
        self.digest.write(part);
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    /// Returns the bytes of the snapshot.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not those of the manifest.
    pub fn finish(self) -> Result<Vec<u8>, SnapshotError> {
        let is_whole = self.bytes.len() as u64 == self.manifest.bytes;
        if !is_whole || self.digest.finish() != self.manifest.sum {
            return Err(SnapshotError::Damaged);
        }
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn snapshot(position: u64, bytes: Vec<u8>) -> EncodedSnapshot {
        let notice = SnapshotNotice { position, bytes: 9 };
        EncodedSnapshot { id: format!("{position}-a"), notice, bytes }
    }

    fn assemble<'a>(
        manifest: &Manifest,
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<u8>, SnapshotError> {
        let mut assembler = Assembler::new(manifest.clone());
        for part in parts {
            assembler.push(part)?;
        }
        assembler.finish()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn snapshot_survives_parts(length in 0usize..3 * PART, seed in any::<u8>()) {
            let bytes: Vec<u8> = (0..length).map(|index| (index as u8) ^ seed).collect();
            let snapshot = snapshot(5, bytes.clone());
            let json = serde_json::to_vec(&snapshot.manifest(7, 3, None)).unwrap();
            let manifest = Manifest::decode(&json, 7).unwrap();
            prop_assert_eq!(assemble(&manifest, snapshot.parts()), Ok(bytes));
        }
    }

    #[test]
    fn damaged_parts_are_refused() {
        let snapshot = snapshot(5, vec![1; 2 * PART + 1]);
        let manifest = snapshot.manifest(7, 3, None);
        let parts: Vec<_> = snapshot.parts().collect();
        assert_eq!(parts.len(), 3);
        for damaged in [vec![parts[0]], vec![parts[0]; 3], vec![parts[0]; 2], vec![&[][..]]] {
            assert_eq!(assemble(&manifest, damaged.into_iter()), Err(SnapshotError::Damaged));
        }
        let other = vec![2; PART];
        let damaged = [parts[0], &other, parts[2]];
        assert_eq!(assemble(&manifest, damaged.into_iter()), Err(SnapshotError::Damaged));
    }

    #[test]
    fn manifest_names_the_snapshot_before() {
        let first = snapshot(5, vec![1]).manifest(7, 3, None);
        assert_eq!(first.previous, None);
        let second = snapshot(9, vec![1]).manifest(7, 8, Some((6, first.clone())));
        assert_eq!(
            second.previous,
            Some(Previous { id: "5-a".into(), position: 5, first: 3, manifest: 6 })
        );
        // A stream that was created anew, and a snapshot that is older than the last one.
        assert_eq!(snapshot(9, vec![1]).manifest(8, 8, Some((6, first))).previous, None);
        assert_eq!(snapshot(5, vec![1]).manifest(7, 9, Some((8, second))).previous, None);
    }

    #[test]
    fn manifest_of_another_kind_is_refused() {
        let manifest = snapshot(5, vec![1]).manifest(7, 3, None);
        let decode = |manifest: &Manifest| {
            Manifest::decode(&serde_json::to_vec(manifest).unwrap(), 7).unwrap_err()
        };
        let mut other = manifest.clone();
        other.created = 8;
        assert_eq!(decode(&other), SnapshotError::OtherStream);
        other = manifest.clone();
        other.v = 2;
        assert_eq!(decode(&other), SnapshotError::UnknownVersion(2));
        other = manifest.clone();
        other.parts = 2;
        assert_eq!(decode(&other), SnapshotError::Damaged);
        other = manifest;
        (other.bytes, other.parts) = (MAX_SNAPSHOT + 1, 1025);
        assert_eq!(decode(&other), SnapshotError::Damaged);
        assert_eq!(Manifest::decode(b"{}", 7), Err(SnapshotError::Damaged));
    }

    #[test]
    fn unknown_version_of_a_snapshot_is_refused() {
        let replica = Replica::blank(7, 3);
        let snapshot = encode(1, &replica, &"room");
        let (decoded, room) = decode::<String>(&snapshot.bytes).unwrap();
        assert_eq!((decoded.position(), room.as_str()), (3, "room"));
        let result = decode::<String>(br#"{"v":2}"#).map(|(_, room)| room);
        assert_eq!(result, Err(SnapshotError::UnknownVersion(2)));
    }
}
