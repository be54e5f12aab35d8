use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Happening {
    Batch(Vec<usize>),
    Kill,
    End,
    PowerCut,
    Recover(u64),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let batch = proptest::collection::vec(0usize..200, 1..6).prop_map(Happening::Batch);
    let happening = prop_oneof![
        6 => batch,
        1 => Just(Happening::Kill),
        1 => Just(Happening::End),
        1 => Just(Happening::PowerCut),
        1 => (0u64..3).prop_map(Happening::Recover),
    ];
    proptest::collection::vec(happening, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_file_holds_what_was_said(
        happenings in happenings(),
        max_bytes in 0u64..4000,
        keep_frames in 0usize..30,
        keep_bytes in 0usize..3000,
    ) {
        let place = Place::new();
        let options =
            Options { max_bytes, sync: Duration::from_secs(9), keep_frames, keep_bytes };
        let mut epochs = 0;
        let mut open = |boot: u32| {
            let epoch = || { epochs += 1; Ok(format!("epoch {epochs}").into()) };
            let boot = Some(boot.to_string().into());
            HistoryFile::open_with_boot(boot, &place.file(), options.clone(), epoch).unwrap()
        };
        let mut boot = 0;
        let (mut file, found) = open(boot);
        let (mut epoch, mut seq) = (found.epoch, found.seq);
        let mut said: Vec<String> = Vec::new();
        // How many of them in this epoch.
        let mut run = 0;
        for happening in happenings {
            let reopened = match happening {
                Happening::Batch(lengths) => {
                    let lines = lengths.iter().zip(seq + 1..);
                    let lines = lines.map(|(length, seq)| frame_of(seq, &"x".repeat(*length)));
                    let lines: Vec<String> = lines.collect();
                    file.append(lines.concat().as_bytes(), seq).unwrap();
                    seq += lines.len() as u64;
                    run += lines.len();
                    said.extend(lines);
                    continue;
                }
                Happening::Recover(lost) => {
                    seq += lost;
                    epoch = format!("recovered {}", said.len()).into();
                    run = 0;
                    file.recover(&epoch, seq).unwrap();
                    continue;
                }
                Happening::Kill => {
                    drop(file);
                    open(boot)
                }
                Happening::End => {
                    file.close().unwrap();
                    boot += 1;
                    open(boot)
                }
                Happening::PowerCut => {
                    drop(file);
                    boot += 1;
                    run = 0;
                    let reopened = open(boot);
                    prop_assert_ne!(&reopened.1.epoch, &epoch);
                    epoch = reopened.1.epoch.clone();
                    reopened
                }
            };
            let found;
            (file, found) = reopened;
            prop_assert_eq!(&found.epoch, &epoch);
            prop_assert_eq!(found.seq, seq);
            let stored = [place.older(), place.file()].map(|path| {
                let text = fs::read_to_string(path).unwrap_or_default();
                text.lines().filter(|line| line.starts_with("{\"data_source\":")).count()
            });
            let stored = stored.iter().sum::<usize>();
            let mut bytes = 0;
            let fits = said.iter().rev().take(keep_frames.min(stored)).take_while(|frame| {
                bytes += frame.len();
                bytes <= keep_bytes
            });
            let kept = fits.count();
            let frames = said[said.len() - kept..].concat();
            prop_assert_eq!(String::from_utf8(found.frames).unwrap(), frames);
            prop_assert_eq!(found.resumable, run.min(kept));
        }
    }

    #[test]
    fn whatever_is_in_the_file_it_opens_or_says_why(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
    ) {
        let place = Place::new();
        let mut text = header_of("e", 0, "monday") + &frames(1..=4);
        text += "{\"smolchat\":\"end\",\"seq\":4}\n";
        text += &(header_of("f", 4, "tuesday") + &frames(5..=8));
        let mut bytes = text.into_bytes();
        for (index, byte) in damage {
            *index.get_mut(&mut bytes) = byte;
        }
        bytes.truncate(end.index(bytes.len() + 1));
        place.write(&bytes);
        match place.try_open("tuesday") {
            Ok((mut file, found)) => {
                let next = frame_of(found.seq + 1, "next");
                file.append(next.as_bytes(), found.seq).unwrap();
                drop(file);
                let again = place.snapshot("tuesday");
                prop_assert_eq!(again.epoch, found.epoch);
                prop_assert_eq!(again.seq, found.seq + 1);
                prop_assert_eq!(again.resumable, found.resumable + 1);
                prop_assert_eq!(again.frames, [found.frames, next.into()].concat());
            }
            Err(_) => prop_assert_eq!(fs::read(place.file()).unwrap(), bytes),
        }
    }
}
