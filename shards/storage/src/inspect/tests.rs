use super::*;
use crate::batch;
use crate::journal::format::BLOCK_BYTES;
use crate::tests::{batch_of, id};
use base::Random;
use model::Offset;

const FILE_BLOCKS: usize = 12;

/// A commit with one append, padded to a block.
fn commit(sequence: u64, file_sequence: u64, value: &[u8]) -> Vec<u8> {
    let batch = batch_of(1, value);
    let entries = [
        Entry::Declare { number: 3, id: id(1), segment: 5 },
        Entry::Append { number: 3, position: 9, batch: &batch },
    ];
    let mut bytes = vec![0; COMMIT_HEADER_BYTES];
    for entry in &entries {
        let at = bytes.len();
        bytes.resize(at + entry.bytes(), 0);
        entry.encode(&mut bytes[at..]);
    }
    let header = CommitHeader {
        length: bytes.len() as u32,
        entries: 2,
        sequence,
        epoch: 1,
        file_sequence,
        durable_through: 0,
        drained_through: 0,
        wall_clock_ms: 0,
    };
    header.seal(&mut bytes);
    bytes.resize(header.padded_bytes() as usize, 0);
    bytes
}

/// A file in its second use: five commits of it, then what the first use left.
fn file() -> Vec<u8> {
    let mut bytes = vec![0; BLOCK_BYTES as usize];
    let header = FileHeader {
        file_sequence: 2,
        epoch: 1,
        sequence_min: 11,
        file_bytes: 1 << 20,
        drained_through: 10,
        relaxed: false,
    };
    header.encode(&mut bytes);
    (11..16).for_each(|sequence| bytes.extend(commit(sequence, 2, &[7; 100])));
    (5..7).for_each(|sequence| bytes.extend(commit(sequence, 1, &[8; 5000])));
    bytes.resize(FILE_BLOCKS * BLOCK_BYTES as usize, 0);
    bytes
}

#[test]
fn the_commits_of_a_journal_are_those_of_its_newest_use() {
    let bytes = file();
    let journal = journal(&bytes);
    assert!(matches!(journal.header, Header::Whole(header) if header.file_sequence == 2));
    let commits: Vec<_> = journal.commits().map(|commit| commit.expect("whole")).collect();
    let sequences: Vec<u64> = commits.iter().map(|commit| commit.header.sequence).collect();
    assert_eq!(sequences, [11, 12, 13, 14, 15]);
    assert_eq!(commits[1].position, 2 * BLOCK_BYTES);
    let entries: Vec<_> = commits[1].entries().map(|entry| entry.expect("known")).collect();
    assert!(matches!(entries[1], Entry::Append { number: 3, position: 9, batch } if batch.len() == 161));
    let unused = vec![0; 3 * BLOCK_BYTES as usize];
    assert_eq!(
        (super::journal(&unused).header, super::journal(&unused).commits().count()),
        (Header::Unused, 0)
    );
}

#[test]
fn a_damaged_commit_is_told_and_the_others_are_found() {
    let good = file();
    for number in 0..5usize {
        let mut bytes = good.clone();
        let begin = (1 + number) * BLOCK_BYTES as usize;
        for at in [begin, begin + 9, begin + 70, begin + 200] {
            bytes[at] ^= 4;
            let (mut whole, mut flaws) = (Vec::new(), Vec::new());
            for commit in journal(&bytes).commits() {
                match commit {
                    Ok(commit) => whole.push(commit.header.sequence - 11),
                    Err(flaw) => flaws.push(flaw),
                }
            }
            assert_eq!(whole, (0..5).filter(|&other| other != number as u64).collect::<Vec<_>>());
            // The magic of the last one gone, nothing tells it from what an earlier use left.
            let told = number < 4 || at != begin;
            assert_eq!(flaws.len(), usize::from(told), "{number} {at}");
            let next = (number < 4).then_some((2 + number as u64) * BLOCK_BYTES);
            assert!(flaws.iter().all(|flaw| (flaw.position, flaw.resumes_at) == (begin as u64, next)));
            bytes[at] ^= 4;
        }
    }
    let mut bytes = good;
    bytes[20] ^= 1;
    assert_eq!(journal(&bytes).header, Header::Flawed(JournalFormatError::Checksum));
    assert_eq!(journal(&bytes).commits().filter(Result::is_ok).count(), 5);
}

fn three_batches() -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..3i64 {
        let mut one = batch_of(2, &[number as u8; 50]);
        batch::assign(&mut one, 10 + 2 * number, 0);
        bytes.extend(one);
    }
    bytes
}

#[test]
fn a_damaged_batch_is_told_and_the_others_are_found() {
    let good = [three_batches(), vec![0; 500]].concat();
    let size = 111;
    let all: Vec<_> = segment(&good, 10).collect();
    assert_eq!(all.len(), 3);
    assert!(
        all[2].is_ok_and(|batch| (batch.position, batch.base_offset, batch.last_offset) == (222, 14, 15))
    );
    for number in 0..3 {
        for at in [8, 16, 17, 30, 80] {
            let mut bytes = good.clone();
            bytes[number * size + at] ^= 0x40;
            let found: Vec<_> = segment(&bytes, 10).collect();
            assert_eq!(found.iter().filter(|item| item.is_ok()).count(), 2, "{number} {at}");
            let flaws: Vec<_> = found.into_iter().filter_map(Result::err).collect();
            let next = (number < 2).then_some(((number + 1) * size) as u64);
            assert_eq!(flaws.len(), 1);
            assert_eq!((flaws[0].position, flaws[0].resumes_at), ((number * size) as u64, next));
        }
    }
    assert!(segment(&good, 11).next().is_some_and(|first| first.is_err()));
}

#[test]
fn the_small_files() {
    let offsets = [1u32, 4200, 9, 8400, 5, 9000].map(u32::to_be_bytes).concat();
    let found: Vec<_> = offset_index(&[offsets, vec![1]].concat()).collect();
    assert_eq!(found[1], Ok(OffsetEntry { offset_delta: 9, position: 8400 }));
    assert_eq!(found[2].map_err(|flaw| (flaw.position, flaw.resumes_at)), Err((16, Some(24))));
    assert_eq!(found[3].map_err(|flaw| (flaw.position, flaw.resumes_at)), Err((24, None)));
    let times = [&1000i64.to_be_bytes()[..], &[0, 0, 0, 7]].concat();
    let found: Vec<_> = time_index(&times).collect();
    assert_eq!(found, [Ok(TimeEntry { timestamp: 1000, offset_delta: 7 })]);

    let place = LogPlace { segment: 5, position: 6, offset: 7 };
    let entry = CheckpointEntry {
        id: id(1),
        exact: true,
        leader_epoch: 3,
        epoch_history: true,
        log_start: 4,
        verified: place,
        claimed: place,
        older_bytes: 10,
    };
    let whole =
        Checkpoint { epoch: 1, generation: 2, clean: true, wall_clock_ms: 3, entries: vec![entry; 2] };
    let mut bytes = whole.encode();
    assert_eq!(checkpoint(&bytes), (Some(whole.clone()), None));
    bytes[4] ^= 1;
    let (found, flaw) = checkpoint(&bytes);
    assert_eq!((found, flaw.is_some()), (Some(whole), true));
    assert!(checkpoint(&bytes[..140]).0.is_some_and(|cut| cut.entries.len() == 1));
    assert_eq!(leader_epochs(b"0\n2\n1 0\n4 9\n").expect("epochs").len(), 2);
    assert!(leader_epochs(b"0\n2\n1 0\n").is_err());
    assert!(producer_snapshot(b"FLMP").is_err());
}

/// Goes through everything there is to look at; the counts keep it from being left out.
fn look(bytes: &[u8]) -> usize {
    let mut seen = offset_index(bytes).count() + time_index(bytes).count();
    assert!(seen <= bytes.len() / 4 + 2);
    for commit in journal(bytes).commits().flatten() {
        seen += commit.entries().count();
    }
    let batches = segment(bytes, 0).count();
    assert!(batches <= bytes.len() + 1);
    let (found, flaw) = checkpoint(bytes);
    assert!(found.is_some() || flaw.is_some());
    let _ = (leader_epochs(bytes), producer_snapshot(bytes));
    seen + batches
}

#[test]
fn no_bytes_make_anything_panic() {
    let mut random = Random::new(5);
    let producers = crate::producers::Producers::default().encode(9);
    let checkpoint = Checkpoint::default().encode();
    let seeds = [
        file(),
        three_batches(),
        producers,
        checkpoint,
        b"0\n2\n1 0\n4 9\n".to_vec(),
        vec![0xff; 700],
        vec![],
    ];
    for round in 0..700 {
        let mut bytes = seeds[round % seeds.len()].clone();
        bytes.truncate(random.below(bytes.len() as u64 * 3 + 1) as usize);
        for _ in 0..random.below(12) {
            // Where the numbers are, more often than elsewhere.
            let block = random.below(bytes.len() as u64 / BLOCK_BYTES + 1) * BLOCK_BYTES;
            let within = if random.one_in(2) { 130 } else { BLOCK_BYTES };
            let at = (block + random.below(within)) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = [0, 0xff, 0x7f, 0x80, random.next_u64() as u8][random.below(5) as usize];
            }
        }
        look(&bytes);
    }
    assert!(look(&file()) > 10);
}

#[test]
fn an_index_of_aborted_transactions_is_read_around_what_does_not_fit() {
    use crate::transactions::AbortedTransaction;
    let aborted = |first_offset, last_offset| AbortedTransaction {
        producer_id: 7,
        first_offset,
        last_offset,
        last_stable_offset: first_offset,
    };
    let all = [aborted(90, 110), aborted(105, 120), aborted(121, 130)];
    let bytes: Vec<u8> = all.iter().flat_map(AbortedTransaction::encode).collect();
    let read = |bytes: &[u8]| aborted_transactions(100, bytes).collect::<Vec<_>>();
    assert_eq!(read(&bytes), all.map(Ok::<_, Flaw>));
    // Of another version; its marker before the one before; its marker behind all others.
    let changed = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[34 + at] = byte;
        read(&changed)
    };
    for found in [changed(0, 1), changed(25, 109)] {
        assert!(matches!(found[1], Err(Flaw { position: 34, resumes_at: Some(68), .. })), "{found:?}");
        assert_eq!((found[0], found[2]), (Ok(all[0]), Ok(all[2])));
    }
    let found = changed(25, 140);
    assert!(matches!(found[2], Err(Flaw { position: 68, .. })), "{found:?}");
    let found = read(&bytes[..70]);
    assert!(matches!(found[2], Err(Flaw { position: 68, resumes_at: None, .. })), "{found:?}");
}

#[test]
fn a_cleaners_state_is_whole_or_none() {
    let bytes = crate::cleaner::CleanerState { boundary: 30, first_dirty: 35 }.encode();
    assert_eq!(cleaner_state(&bytes), Ok((Offset(30), Offset(35))));
    assert_eq!(cleaner_state(&bytes[1..]).map_err(|flaw| flaw.position), Err(0));
}
