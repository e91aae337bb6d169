//! Disk operations: checked when they begin, carried out when they end, or cut short by a crash.

use crate::disk::Inode;
use crate::state::{Held, Stage, State};
use driver::{Access, Errno, Handle, OpenOptions, Operation, Outcome, Token};
use memory::{Block, Slice};
use std::path::PathBuf;
use std::time::Duration;

/// Not a seekable file: a socket.
const SPIPE: Errno = Errno(29);

/// A disk operation under way. Handles are looked up when it begins: closing does not disturb it.
pub(crate) enum Work {
    Read {
        inode: Inode,
        offset: u64,
        block: Block,
        length: usize,
    },
    Write {
        inode: Inode,
        offset: u64,
        data: Slice,
        durable: bool,
    },
    /// `upto`: the last change that was made before the sync began, and the last that it covers.
    Sync {
        inode: Inode,
        upto: u64,
    },
    Allocate {
        inode: Inode,
        offset: u64,
        bytes: u64,
    },
    Truncate {
        inode: Inode,
        bytes: u64,
    },
    Open {
        path: PathBuf,
        options: OpenOptions,
    },
    Close {
        inode: Inode,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
        directory: bool,
    },
    MakeDirectory {
        path: PathBuf,
    },
    SyncDirectory {
        inode: Inode,
        upto: u64,
    },
    ListDirectory {
        path: PathBuf,
    },
    FindWritten {
        inode: Inode,
        offset: u64,
    },
    Stat {
        path: PathBuf,
    },
}

impl Work {
    /// The file that must not go away while this is under way.
    fn inode(&self) -> Option<Inode> {
        match self {
            Work::Read { inode, .. }
            | Work::Write { inode, .. }
            | Work::Sync { inode, .. }
            | Work::Allocate { inode, .. }
            | Work::Truncate { inode, .. }
            | Work::FindWritten { inode, .. } => Some(*inode),
            _ => None,
        }
    }

    fn fail(self, errno: Errno) -> Outcome {
        match self {
            Work::Read { block, .. } => Outcome::Read(Err(errno), block),
            Work::Write { data, .. } => Outcome::Written(Err(errno), data),
            Work::Open { .. } => Outcome::Opened(Err(errno)),
            Work::ListDirectory { .. } => Outcome::Listed(Err(errno)),
            Work::Stat { .. } => Outcome::Stat(Err(errno)),
            Work::FindWritten { .. } => Outcome::Found(Err(errno)),
            _ => Outcome::Done(Err(errno)),
        }
    }
}

impl State {
    /// Begins a disk operation, or answers it when it cannot be carried out.
    pub(crate) fn begin_work(&mut self, core: usize, token: Token, what: String, operation: Operation) {
        match self.prepare(core, operation) {
            Ok(work) => {
                let delay = self.disk_delay(core, &work);
                if let Some(inode) = work.inode() {
                    let node = self.cores[core].node;
                    self.nodes[node].disk.hold(inode);
                }
                self.begin(core, token, what, Stage::Disk(work));
                self.finish_after(core, token, delay);
            }
            Err(outcome) => {
                self.begin(core, token, what, Stage::Answered(outcome));
                let delay = Duration::from_nanos(self.random.between(500, 5_000));
                self.finish_after(core, token, delay);
            }
        }
    }

    fn open_file(&self, core: usize, handle: Handle) -> Result<(Inode, bool, bool), Errno> {
        match self.cores[core].handles.get(&handle.0) {
            Some(Held::File { inode, writable, direct }) => Ok((*inode, *writable, *direct)),
            Some(Held::Socket(_)) => Err(SPIPE),
            None => Err(Errno::BADF),
        }
    }

    fn prepare(&mut self, core: usize, operation: Operation) -> Result<Work, Outcome> {
        let disk = &self.nodes[self.cores[core].node].disk;
        let alignment = disk.options.direct_alignment as u64;
        let misaligned = |direct: bool, address: usize, offset: u64, length: usize| {
            direct && !(address as u64 | offset | length as u64).is_multiple_of(alignment)
        };
        match operation {
            Operation::Read { file, offset, block, length } => match self.open_file(core, file) {
                Ok((_, _, direct)) if misaligned(direct, block.as_ptr() as usize, offset, length) => {
                    Err(Outcome::Read(Err(Errno::INVAL), block))
                }
                Ok(_) if length > block.len() => Err(Outcome::Read(Err(Errno::INVAL), block)),
                Ok((inode, ..)) => Ok(Work::Read { inode, offset, block, length }),
                Err(errno) => Err(Outcome::Read(Err(errno), block)),
            },
            Operation::Write { file, offset, data, durable } => match self.open_file(core, file) {
                Ok((_, false, _)) => Err(Outcome::Written(Err(Errno::BADF), data)),
                Ok((_, _, direct)) if misaligned(direct, data.as_ptr() as usize, offset, data.len()) => {
                    Err(Outcome::Written(Err(Errno::INVAL), data))
                }
                Ok((inode, ..)) => Ok(Work::Write { inode, offset, data, durable }),
                Err(errno) => Err(Outcome::Written(Err(errno), data)),
            },
            Operation::FindWritten { file, offset } => match self.open_file(core, file) {
                Ok((inode, ..)) => Ok(Work::FindWritten { inode, offset }),
                Err(errno) => Err(Outcome::Found(Err(errno))),
            },
            other => self.prepare_other(core, other).map_err(|errno| match errno {
                (errno, false) => Outcome::Done(Err(errno)),
                (errno, true) => Outcome::Opened(Err(errno)),
            }),
        }
    }

    /// As [`prepare`](State::prepare), for what completes with `Done` or is decided at its end.
    fn prepare_other(&mut self, core: usize, operation: Operation) -> Result<Work, (Errno, bool)> {
        let node = self.cores[core].node;
        let done = |errno| (errno, false);
        Ok(match operation {
            Operation::Sync { file } => {
                let (inode, ..) = self.open_file(core, file).map_err(done)?;
                Work::Sync { inode, upto: self.nodes[node].disk.file(inode).data.last_change() }
            }
            Operation::Allocate { file, offset, bytes } => match self.open_file(core, file).map_err(done)? {
                (inode, true, _) => Work::Allocate { inode, offset, bytes },
                _ => return Err(done(Errno::BADF)),
            },
            Operation::Truncate { file, bytes } => match self.open_file(core, file).map_err(done)? {
                (inode, true, _) => Work::Truncate { inode, bytes },
                _ => return Err(done(Errno::INVAL)),
            },
            Operation::Close { handle } => match self.cores[core].handles.remove(&handle.0) {
                Some(Held::File { inode, .. }) => Work::Close { inode },
                _ => return Err(done(Errno::BADF)),
            },
            Operation::Open { options, .. } if options.exclusive && !options.create => {
                return Err((Errno::INVAL, true));
            }
            Operation::Open { path, options } => Work::Open { path, options },
            Operation::Rename { from, to } => Work::Rename { from, to },
            Operation::Remove { path } => Work::Remove { path, directory: false },
            Operation::RemoveDirectory { path } => Work::Remove { path, directory: true },
            Operation::MakeDirectory { path } => Work::MakeDirectory { path },
            Operation::SyncDirectory { path } => {
                let (inode, upto) = self.nodes[node].disk.sync_directory_begin(&path).map_err(done)?;
                Work::SyncDirectory { inode, upto }
            }
            Operation::ListDirectory { path } => Work::ListDirectory { path },
            Operation::Stat { path } => Work::Stat { path },
            other => unreachable!("not an operation of the disk: {other:?}"),
        })
    }

    fn disk_delay(&mut self, core: usize, work: &Work) -> Duration {
        let disk = &mut self.nodes[self.cores[core].node].disk;
        let options = &disk.options;
        let latency = match work {
            Work::Read { .. } => &options.read,
            Work::Write { durable: false, .. } => &options.write,
            Work::Write { .. } | Work::Sync { .. } | Work::SyncDirectory { .. } => &options.sync,
            _ => &options.metadata,
        };
        let delay = latency.draw(&mut self.random);
        if self.random.one_in(options.spell_one_in) {
            disk.slow_until = disk.slow_until.max(self.now + options.spell);
            self.trace.note(self.now, format_args!("c{core} slow spell until {:?}", disk.slow_until));
        }
        if self.now < disk.slow_until { delay * disk.options.spell_factor } else { delay }
    }

    /// The effect of a disk operation, or its failure.
    pub(crate) fn carry_out(&mut self, core: usize, work: Work) -> Outcome {
        let held = work.inode();
        let outcome = self.effect(core, work);
        if let Some(inode) = held {
            let node = self.cores[core].node;
            self.nodes[node].disk.close(inode);
        }
        outcome
    }

    fn effect(&mut self, core: usize, work: Work) -> Outcome {
        let node = self.cores[core].node;
        if let Some(errno) = self.fault(node, &work) {
            return work.fail(errno);
        }
        let disk = &mut self.nodes[node].disk;
        match work {
            Work::Read { inode, offset, mut block, length } => {
                let count = disk.file(inode).data.current().read(offset, &mut block[..length]);
                Outcome::Read(Ok(count), block)
            }
            Work::Write { inode, offset, data, durable } => {
                let offset = self.aim(node, inode, offset, data.len());
                let disk = &mut self.nodes[node].disk;
                Outcome::Written(disk.write(inode, offset, &data, durable), data)
            }
            Work::Open { path, options } => Outcome::Opened(disk.open(&path, options).map(|inode| {
                let writable = options.access == Access::ReadWrite;
                self.new_handle(core, Held::File { inode, writable, direct: options.direct })
            })),
            Work::ListDirectory { path } => Outcome::Listed(disk.list(&path)),
            Work::Stat { path } => Outcome::Stat(disk.stat(&path)),
            Work::FindWritten { inode, offset } => {
                Outcome::Found(Ok(disk.file(inode).data.current().find_written(offset)))
            }
            other => Outcome::Done(self.change(node, other)),
        }
    }

    fn change(&mut self, node: usize, work: Work) -> Result<(), Errno> {
        let disk = &mut self.nodes[node].disk;
        match work {
            Work::Sync { inode, upto } => disk.sync(inode, upto),
            Work::Allocate { inode, offset, bytes } => return disk.allocate(inode, offset, bytes),
            Work::Truncate { inode, bytes } => return disk.resize(inode, bytes),
            Work::Close { inode } => disk.close(inode),
            Work::Rename { from, to } => return disk.rename(&from, &to),
            Work::Remove { path, directory } => return disk.remove(&path, directory),
            Work::MakeDirectory { path } => return disk.make_directory(&path),
            Work::SyncDirectory { inode, upto } => disk.sync_directory(inode, upto),
            _ => unreachable!("carried out elsewhere"),
        }
        Ok(())
    }

    /// Whether an operation fails, and what it did nevertheless.
    fn fault(&mut self, node: usize, work: &Work) -> Option<Errno> {
        let disk = &mut self.nodes[node].disk;
        let is_full = match work {
            Work::Sync { .. } => disk.ordered.full_syncs > 0,
            Work::SyncDirectory { .. } => disk.ordered.full_names > 0,
            _ => false,
        };
        let (ordered, one_in) = match work {
            Work::Sync { .. } if is_full => (&mut disk.ordered.full_syncs, 0),
            Work::SyncDirectory { .. } if is_full => (&mut disk.ordered.full_names, 0),
            Work::Read { .. } => (&mut disk.ordered.reads, disk.options.faults.read_error_one_in),
            Work::Write { .. } => (&mut disk.ordered.writes, disk.options.faults.write_error_one_in),
            Work::Sync { .. } | Work::SyncDirectory { .. } => {
                (&mut disk.ordered.syncs, disk.options.faults.sync_error_one_in)
            }
            _ => return None,
        };
        if *ordered > 0 {
            *ordered -= 1;
        } else if !self.random.one_in(one_in) {
            return None;
        }
        match work {
            Work::Write { inode, offset, data, .. } => self.write_in_part(node, *inode, *offset, data),
            Work::Sync { inode, upto } => {
                self.nodes[node].disk.file(*inode).data.fail_sync(*upto, &mut self.random);
            }
            _ => {}
        }
        let (errno, name) = if is_full { (Errno::NOSPC, "ENOSPC") } else { (Errno::IO, "EIO") };
        self.trace.note(self.now, format_args!("n{node} fault: {name}"));
        Some(errno)
    }

    /// Writes nothing, some or all of the data, not durably; for a write that fails or is cut short.
    fn write_in_part(&mut self, node: usize, inode: Inode, offset: u64, data: &Slice) {
        let sector = crate::file::SECTOR as usize;
        let count = data.len().div_ceil(sector) as u64;
        let mut fates = crate::file::Fates::default();
        if count == 0 {
            return;
        }
        for at in crate::file::survivors((0..count).collect(), &mut self.random, &mut fates) {
            let start = at as usize * sector;
            let part = &data[start..data.len().min(start + sector)];
            // A part that does not fit any more is a part that is missing.
            let _ = self.nodes[node].disk.write(inode, offset + start as u64, part, false);
        }
    }

    /// Where a write lands: where it should, or elsewhere in the file.
    fn aim(&mut self, node: usize, inode: Inode, offset: u64, length: usize) -> u64 {
        let disk = &mut self.nodes[node].disk;
        let one_in = disk.options.faults.misdirected_write_one_in;
        if disk.ordered.misdirected > 0 {
            disk.ordered.misdirected -= 1;
        } else if !self.random.one_in(one_in) {
            return offset;
        }
        let unit = disk.options.direct_alignment as u64;
        let size = disk.file(inode).data.current().size();
        let places = size.saturating_sub(length as u64) / unit;
        let landed = self.random.below(places + 1) * unit;
        self.trace.note(self.now, format_args!("n{node} fault: write for {offset} landed at {landed}"));
        landed
    }

    /// Takes a disk operation out of the device's queue before it had an effect.
    pub(crate) fn cancel_work(&mut self, core: usize, token: Token) {
        let placeholder = Stage::Answered(Outcome::Done(Err(Errno::CANCELED)));
        let Some(op) = self.cores[core].ops.get_mut(&token) else { return };
        let Stage::Disk(work) = std::mem::replace(&mut op.stage, placeholder) else { return };
        // A close always happens: its handle is gone already.
        if let Work::Close { .. } = work {
            op.stage = Stage::Disk(work);
            return;
        }
        if let Some(inode) = work.inode() {
            let node = self.cores[core].node;
            self.nodes[node].disk.close(inode);
        }
        self.answer(core, token, work.fail(Errno::CANCELED));
    }

    /// What a disk operation under way does when its machine or process stops: anything between nothing and all.
    /// Without `power`, what becomes of a write is left to the crash that follows.
    pub(crate) fn interrupt(&mut self, core: usize, work: Work, power: bool) {
        let node = self.cores[core].node;
        let held = work.inode();
        match work {
            Work::Write { inode, offset, data, .. } if power => {
                self.write_in_part(node, inode, offset, &data)
            }
            Work::Write { inode, offset, data, .. } => {
                let _ = self.nodes[node].disk.write(inode, offset, &data, false);
            }
            Work::Close { inode } => self.nodes[node].disk.close(inode),
            Work::Open { path, options } => {
                if self.random.one_in(2)
                    && let Ok(inode) = self.nodes[node].disk.open(&path, options)
                {
                    self.nodes[node].disk.close(inode);
                }
            }
            Work::Allocate { .. }
            | Work::Truncate { .. }
            | Work::Rename { .. }
            | Work::Remove { .. }
            | Work::MakeDirectory { .. } => {
                if self.random.one_in(2) {
                    // Nobody is left to hear whether it failed.
                    let _ = self.change(node, work);
                }
            }
            Work::Sync { .. }
            | Work::SyncDirectory { .. }
            | Work::Read { .. }
            | Work::ListDirectory { .. }
            | Work::Stat { .. }
            | Work::FindWritten { .. } => {}
        }
        if let Some(inode) = held {
            self.nodes[node].disk.close(inode);
        }
    }
}
