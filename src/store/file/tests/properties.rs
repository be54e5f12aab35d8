//! Property tests: arbitrary sequences of operations, and arbitrary damage.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    /// Appends frames with texts of these lengths.
    Append(Vec<usize>),
    Kill,
    Close,
    PowerLoss,
    /// Recovers after this many frames were lost.
    Recover(u64),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let append = proptest::collection::vec(0usize..200, 1..6).prop_map(Operation::Append);
    let operation = prop_oneof![
        6 => append,
        1 => Just(Operation::Kill),
        1 => Just(Operation::Close),
        1 => Just(Operation::PowerLoss),
        1 => (0u64..3).prop_map(Operation::Recover),
    ];
    proptest::collection::vec(operation, 0..40)
}

/// The state that a file must have after the operations so far.
struct Expected {
    dir: TestDir,
    options: Options,
    boot: u32,
    /// How often the file was opened.
    opens: u32,
    epoch: Box<str>,
    seq: u64,
    /// All frames that were appended.
    frames: Vec<String>,
    /// How many of the last frames belong to `epoch`.
    consecutive: usize,
}

impl Expected {
    fn new(options: Options) -> (Self, HistoryFile) {
        let mut expected = Expected {
            dir: TestDir::new(),
            options,
            boot: 0,
            opens: 0,
            epoch: "epoch 1".into(),
            seq: 0,
            frames: Vec::new(),
            consecutive: 0,
        };
        let file = expected.open();
        (expected, file)
    }

    fn open(&mut self) -> HistoryFile {
        self.opens += 1;
        let boot = Some(self.boot.to_string().into());
        let fresh_epoch = || Ok(format!("epoch {}", self.opens).into());
        let (path, options) = (self.dir.file(), self.options.clone());
        let (file, found) = HistoryFile::open_with_boot(boot, &path, options, fresh_epoch).unwrap();
        self.check(&found);
        file
    }

    fn apply(&mut self, operation: Operation, mut file: HistoryFile) -> HistoryFile {
        match operation {
            Operation::Append(lens) => {
                let frames = lens.iter().zip(self.seq + 1..);
                let frames: Vec<String> =
                    frames.map(|(len, seq)| frame(seq, &"x".repeat(*len))).collect();
                file.append(frames.concat().as_bytes(), self.seq).unwrap();
                self.seq += frames.len() as u64;
                self.consecutive += frames.len();
                self.frames.extend(frames);
                return file;
            }
            Operation::Recover(lost) => {
                self.seq += lost;
                self.epoch = format!("recovered {}", self.frames.len()).into();
                self.consecutive = 0;
                file.recover(&self.epoch, self.seq).unwrap();
                return file;
            }
            Operation::Kill => {}
            Operation::Close => {
                file.close().unwrap();
                self.boot += 1;
            }
            Operation::PowerLoss => {
                self.boot += 1;
                self.epoch = format!("epoch {}", self.opens + 1).into();
                self.consecutive = 0;
            }
        }
        drop(file);
        self.open()
    }

    fn check(&self, found: &Snapshot) {
        let stored = [self.dir.rotated(), self.dir.file()].map(|path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            text.lines().filter(|line| line.starts_with("{\"data_source\":")).count()
        });
        let max_frames = self.options.keep_frames.min(stored.iter().sum());
        let mut bytes = 0;
        let kept = self.frames.iter().rev().take(max_frames).take_while(|frame| {
            bytes += frame.len();
            bytes <= self.options.keep_bytes
        });
        let kept = kept.count();
        let frames = self.frames[self.frames.len() - kept..].concat();
        let expected = snapshot(&self.epoch, self.seq, frames, self.consecutive.min(kept));
        assert_eq!(*found, expected);
    }
}

fn check_operations(operations: Vec<Operation>, options: Options) {
    let (mut expected, mut file) = Expected::new(options);
    for operation in operations {
        file = expected.apply(operation, file);
    }
}

#[test]
fn close_of_empty_file_without_space_reopens() {
    let options = Options { max_bytes: 0, keep_frames: 0, keep_bytes: 0, ..Options::default() };
    check_operations(vec![Operation::Close], options);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_keep_appended_frames(
        operations in operations(),
        max_bytes in 0u64..4000,
        keep_frames in 0usize..30,
        keep_bytes in 0usize..3000,
    ) {
        let sync = Duration::from_secs(9);
        check_operations(operations, Options { max_bytes, sync, keep_frames, keep_bytes, ..Options::default() });
    }

    #[test]
    fn damaged_file_is_recovered_or_rejected(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        len in any::<prop::sample::Index>(),
    ) {
        let dir = TestDir::new();
        let mut text = header("e", 0, "boot-1") + &frames(1..=4);
        text += "{\"smolchat\":\"end\",\"seq\":4}\n";
        text += &(header("f", 4, "boot-2") + &frames(5..=8));
        let mut bytes = text.into_bytes();
        for (index, byte) in damage {
            *index.get_mut(&mut bytes) = byte;
        }
        bytes.truncate(len.index(bytes.len() + 1));
        dir.write(&bytes);
        match dir.try_open("boot-2") {
            Ok((mut file, found)) => {
                let next = frame(found.seq + 1, "next");
                file.append(next.as_bytes(), found.seq).unwrap();
                drop(file);
                let reopened = dir.reopen("boot-2");
                prop_assert_eq!(reopened.epoch, found.epoch);
                prop_assert_eq!(reopened.seq, found.seq + 1);
                prop_assert_eq!(reopened.resumable, found.resumable + 1);
                prop_assert_eq!(reopened.frames, [found.frames, next.into()].concat());
            }
            Err(_) => prop_assert_eq!(fs::read(dir.file()).unwrap(), bytes),
        }
    }
}
