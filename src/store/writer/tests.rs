//! Tests of the writer, with a disk that is slow or fails.

use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex};
use std::thread;

use futures_lite::future::poll_once;

use super::*;
use crate::store::Options;
use crate::store::file::tests::{TestDir, frame as line};

fn fresh_epoch() -> io::Result<Box<str>> {
    Ok("another".into())
}

fn frame(seq: u64) -> Chunk {
    line(seq, "hi").into_bytes().into()
}

fn frames(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    numbers.into_iter().map(frame).collect::<Vec<_>>().concat()
}

/// A disk whose syncs can be held.
struct Disk {
    /// The number of syncs that wait, if syncs are held.
    held: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Disk {
    const fn new() -> Self {
        Disk { held: Mutex::new(None), changed: Condvar::new() }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let mut held = self.held.lock().unwrap();
        if let Some(count) = &mut *held {
            *count += 1;
            self.changed.notify_all();
        }
        let held = self.changed.wait_while(held, |held| held.is_some()).unwrap();
        drop(held);
        file.sync_data()
    }

    fn hold(&self) {
        *self.held.lock().unwrap() = Some(0);
    }

    fn release(&self) {
        *self.held.lock().unwrap() = None;
        self.changed.notify_all();
    }

    fn wait_until_held(&self, count: usize) {
        let held = self.held.lock().unwrap();
        let is_missing = |held: &mut Option<usize>| held.is_some_and(|held| held < count);
        drop(self.changed.wait_while(held, is_missing).unwrap());
    }
}

fn open(dir: &TestDir, options: Options) -> HistoryWriter {
    HistoryWriter::new(dir.open_with("boot-1", options).unwrap().0, fresh_epoch)
}

/// Writes frame 1 and starts a sync of it, which the disk holds.
async fn start_held_sync(writer: &mut HistoryWriter, disk: &Disk) {
    disk.hold();
    assert_eq!(writer.record(&frame(1), 0).await, None);
    while writer.sync.is_none() {
        assert_eq!(writer.sync_if_due().await, None);
    }
    disk.wait_until_held(1);
}

/// Returns options with a sync after each nanosecond.
fn options(sync_file: fn(&File) -> io::Result<()>) -> Options {
    Options { sync: Duration::from_nanos(1), sync_file, ..Options::default() }
}

/// Starts an operation that takes until the returned sender is dropped.
fn start_slow_operation(writer: &mut HistoryWriter) -> Sender<()> {
    let (wake, hang) = channel::<()>();
    writer.start(Box::new(move |_| {
        let _ = hang.recv();
        Ok(())
    }));
    wake
}

#[test]
fn disk_that_hangs_delays_one_write_only() {
    let dir = TestDir::new();
    let mut writer = open(&dir, Options::default());
    smol::block_on(async {
        assert_eq!(writer.record(&frame(1), 0).await, None);
        // Stands for a write that the disk does not finish.
        let wake = start_slow_operation(&mut writer);
        let start = Instant::now();
        assert_eq!(writer.record(&frame(2), 1).await, Some(StoreStatus::Stopped));
        assert!(start.elapsed() >= WRITE_TIMEOUT);
        let start = Instant::now();
        for seq in 3..10 {
            assert_eq!(writer.record(&frame(seq), seq - 1).await, None);
        }
        assert!(start.elapsed() < WRITE_TIMEOUT / 2);

        drop(wake);
        let mut seq = 10;
        while writer.record(&frame(seq), seq - 1).await.is_none() {
            seq += 1;
            thread::yield_now();
        }
        assert_eq!(writer.record(&frame(seq + 1), seq).await, None);
        writer.close().await;
        let found = dir.reopen("boot-1");
        assert_eq!((&*found.epoch, found.seq, found.resumable), ("another", seq + 1, 2));
        assert_eq!(found.frames, frames([1, seq, seq + 1]));
    });
}

#[test]
fn frames_are_written_while_a_sync_runs() {
    static DISK: Disk = Disk::new();
    let dir = TestDir::new();
    let mut writer = open(&dir, options(|file| DISK.sync(file)));
    smol::block_on(async {
        start_held_sync(&mut writer, &DISK).await;
        for seq in 2..100 {
            assert_eq!(writer.record(&frame(seq), seq - 1).await, None);
            assert_eq!(writer.sync_if_due().await, None);
        }
        assert!(poll_once(writer.sync_finished()).await.is_none());
        assert!(dir.text().ends_with(&line(99, "hi")));
        DISK.release();
        writer.sync_finished().await;
        // The frames that the first sync does not cover need a second one.
        assert_eq!(writer.sync_if_due().await, None);
        writer.sync_finished().await;
        assert_eq!(writer.sync_if_due().await, None);
        assert_eq!(writer.sync_due(), None);
    });
    drop(writer);
    let found = dir.reopen("boot-1");
    assert_eq!((&*found.epoch, found.resumable), ("epoch of boot-1", 99));
    assert_eq!(found.frames, frames(1..100));
}

#[test]
fn file_is_rotated_while_a_sync_runs() {
    static DISK: Disk = Disk::new();
    let dir = TestDir::new();
    let mut writer = open(&dir, Options { max_bytes: 0, ..options(|file| DISK.sync(file)) });
    smol::block_on(async {
        start_held_sync(&mut writer, &DISK).await;
        // The second is the sync of the header of the new file.
        let release = thread::spawn(|| {
            DISK.wait_until_held(2);
            DISK.release();
        });
        assert_eq!(writer.record(&frame(2), 1).await, None);
        release.join().unwrap();
        writer.close().await;
    });
    // A clean end, which is valid after a power loss, too.
    let found = dir.reopen("boot-2");
    assert_eq!((&*found.epoch, found.resumable), ("epoch of boot-1", 2));
    assert_eq!(found.frames, frames(1..=2));
}

/// Checks that the future is still pending after more than the timeout of a write.
async fn assert_waits(future: &mut (impl Future<Output = Option<StoreStatus>> + Unpin)) {
    let pause = async {
        Timer::after(WRITE_TIMEOUT * 3 / 2).await;
        false
    };
    let end = async {
        future.await;
        true
    };
    assert!(!end.or(pause).await);
}

#[test]
fn write_may_wait_for_a_running_sync() {
    static DISK: Disk = Disk::new();
    let dir = TestDir::new();
    let mut writer = open(&dir, options(|file| DISK.sync(file)));
    smol::block_on(async {
        start_held_sync(&mut writer, &DISK).await;
        // Stands for a write that the system holds back.
        let wake = start_slow_operation(&mut writer);
        let frame = frame(2);
        let mut record = Box::pin(writer.record(&frame, 1));
        assert_waits(&mut record).await;
        drop(wake);
        DISK.release();
        assert_eq!(record.await, None);
    });
}

#[test]
fn delivery_waits_for_its_sync_without_interval() {
    static DISK: Disk = Disk::new();
    let dir = TestDir::new();
    let sync_file = |file: &File| DISK.sync(file);
    let mut writer = open(&dir, Options { sync: Duration::ZERO, ..options(sync_file) });
    smol::block_on(async {
        DISK.hold();
        let frame = frame(1);
        let mut record = Box::pin(writer.record(&frame, 0));
        assert_waits(&mut record).await;
        DISK.release();
        assert_eq!(record.await, None);
    });
}

#[test]
fn sync_that_hangs_ends_epoch_after_timeout() {
    static DISK: Disk = Disk::new();
    let dir = TestDir::new();
    let mut writer = open(&dir, options(|file| DISK.sync(file)));
    writer.sync_timeout = Duration::from_millis(50);
    smol::block_on(async {
        start_held_sync(&mut writer, &DISK).await;
        Timer::at(writer.sync_due().unwrap()).await;
        assert_eq!(writer.sync_if_due().await, Some(StoreStatus::Stopped));
        // A server that is killed now does not continue the epoch.
        assert!(dir.text().ends_with("{\"smolchat\":\"broken\"}\n"));
        assert_eq!(writer.sync_due(), None);
        let mut seq = 2;
        writer.retry_at = Some(Instant::now());
        while seq < 10 {
            assert_eq!(writer.record(&frame(seq), seq - 1).await, None);
            seq += 1;
        }

        DISK.release();
        writer.sync_finished().await;
        assert_eq!(writer.sync_if_due().await, None);
        while writer.record(&frame(seq), seq - 1).await.is_none() {
            seq += 1;
            thread::yield_now();
        }
        drop(writer);
        let found = dir.reopen("boot-1");
        assert_eq!((&*found.epoch, found.seq, found.resumable), ("another", seq, 1));
    });
}

#[test]
fn failed_sync_is_reported_without_a_write() {
    let dir = TestDir::new();
    // The first sync is that of the header.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut writer = open(
        &dir,
        options(|_| match COUNT.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(io::ErrorKind::StorageFull.into()),
        }),
    );
    smol::block_on(async {
        assert_eq!(writer.record(&frame(1), 0).await, None);
        while writer.sync.is_none() {
            assert_eq!(writer.sync_if_due().await, None);
        }
        writer.sync_finished().await;
        assert_eq!(writer.sync_if_due().await, Some(StoreStatus::Stopped));
    });
    assert!(dir.text().ends_with("{\"smolchat\":\"broken\"}\n"));
}

#[test]
fn close_waits_for_a_running_sync() {
    static DISK: Disk = Disk::new();
    let dir = TestDir::new();
    let mut writer = open(&dir, options(|file| DISK.sync(file)));
    smol::block_on(async {
        start_held_sync(&mut writer, &DISK).await;
        let mut close = Box::pin(async {
            writer.close().await;
            None
        });
        assert_waits(&mut close).await;
        DISK.release();
        close.await;
    });
    let found = dir.reopen("boot-2");
    assert_eq!((&*found.epoch, found.frames), ("epoch of boot-1", frames([1])));
}
