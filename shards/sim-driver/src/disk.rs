//! A machine's file system: names, what of them is on the device, and the operations.

use crate::file::{Fates, FileData};
use crate::options::{DirectoryLoss, DiskOptions};
use base::{Instant, Random};
use driver::{Access, DirectoryEntry, Errno, Metadata, OpenOptions};
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// A file or directory, whatever it is called.
pub(crate) type Inode = u64;

/// The directory all paths begin at, relative ones too.
const ROOT: Inode = 0;
/// Space is given out in such units.
const UNIT: u64 = 4096;

pub(crate) struct File {
    pub(crate) data: FileData,
    /// Handles to it.
    open: u32,
    /// It has a name, as it is seen now.
    named: bool,
    /// Bytes of the disk's capacity that it takes up.
    charged: u64,
}

#[derive(Default)]
struct Directory {
    current: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
}

enum Node {
    File(Box<File>),
    Directory(Directory),
}

/// One entry of a directory set or removed.
type Entry = (Inode, String, Option<Inode>);

/// What goes wrong next, by explicit order: how many operations of a kind.
#[derive(Default)]
pub(crate) struct Ordered {
    pub(crate) reads: u32,
    pub(crate) writes: u32,
    pub(crate) syncs: u32,
    pub(crate) full_syncs: u32,
    pub(crate) full_names: u32,
    pub(crate) misdirected: u32,
}

/// The file system of one node.
pub(crate) struct Disk {
    nodes: BTreeMap<Inode, Node>,
    last: Inode,
    /// Directory changes that are not durable, in order, numbered; each is one or two entries.
    changes: Vec<(u64, Vec<Entry>)>,
    last_change: u64,
    used: u64,
    pub(crate) options: DiskOptions,
    pub(crate) ordered: Ordered,
    pub(crate) slow_until: Instant,
}

impl Disk {
    pub(crate) fn new(options: DiskOptions) -> Disk {
        let nodes = BTreeMap::from([(ROOT, Node::Directory(Directory::default()))]);
        Disk {
            nodes,
            last: ROOT,
            changes: Vec::new(),
            last_change: 0,
            used: 0,
            options,
            ordered: Ordered::default(),
            slow_until: Instant::ZERO,
        }
    }

    fn directory(&mut self, inode: Inode) -> Result<&mut Directory, Errno> {
        match self.nodes.get_mut(&inode) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(Errno::NOTDIR),
            None => Err(Errno::NOENT),
        }
    }

    /// An open file; it exists as long as a handle to it does.
    pub(crate) fn file(&mut self, inode: Inode) -> &mut File {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => file,
            _ => unreachable!("a handle keeps its file"),
        }
    }

    /// The directory and name that a path ends in; no name for the root.
    fn parent(&mut self, path: &Path) -> Result<(Inode, Option<String>), Errno> {
        let mut names: Vec<&str> = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => names.push(name.to_str().ok_or(Errno::INVAL)?),
                Component::ParentDir => drop(names.pop()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        let Some(last) = names.pop() else { return Ok((ROOT, None)) };
        let mut at = ROOT;
        for name in names {
            at = *self.directory(at)?.current.get(name).ok_or(Errno::NOENT)?;
        }
        self.directory(at)?;
        Ok((at, Some(last.to_owned())))
    }

    fn find(&mut self, path: &Path) -> Result<Inode, Errno> {
        match self.parent(path)? {
            (root, None) => Ok(root),
            (parent, Some(name)) => self.directory(parent)?.current.get(&name).copied().ok_or(Errno::NOENT),
        }
    }

    /// Makes a change to directories, seen at once and durable later.
    fn change(&mut self, entries: Vec<Entry>) {
        for (directory, name, inode) in &entries {
            if let Some(Node::Directory(found)) = self.nodes.get_mut(directory) {
                set(&mut found.current, name, *inode);
            }
        }
        self.last_change += 1;
        self.changes.push((self.last_change, entries));
    }

    fn create(&mut self, node: Node, parent: Inode, name: String) -> Inode {
        self.last += 1;
        self.nodes.insert(self.last, node);
        self.change(vec![(parent, name, Some(self.last))]);
        self.last
    }

    pub(crate) fn open(&mut self, path: &Path, options: OpenOptions) -> Result<Inode, Errno> {
        let (parent, name) = self.parent(path)?;
        let name = name.ok_or(Errno::ISDIR)?;
        let inode = match self.directory(parent)?.current.get(&name).copied() {
            Some(_) if options.create && options.exclusive => return Err(Errno::EXIST),
            Some(inode) => inode,
            None if options.create => {
                let file = File { data: FileData::default(), open: 0, named: true, charged: 0 };
                self.create(Node::File(Box::new(file)), parent, name)
            }
            None => return Err(Errno::NOENT),
        };
        if matches!(self.nodes.get(&inode), Some(Node::Directory(_))) {
            return Err(Errno::ISDIR);
        }
        if options.truncate && options.access == Access::ReadWrite {
            self.resize(inode, 0)?;
        }
        self.file(inode).open += 1;
        Ok(inode)
    }

    /// Keeps a file while an operation on it is under way; [`close`](Disk::close) lets go.
    pub(crate) fn hold(&mut self, inode: Inode) {
        self.file(inode).open += 1;
    }

    /// One handle, or operation, less.
    pub(crate) fn close(&mut self, inode: Inode) {
        self.file(inode).open -= 1;
        self.free(inode);
    }

    /// Gives back the space of a file that nobody can reach. Its bytes stay: a crash may bring its name back.
    fn free(&mut self, inode: Inode) {
        if let Some(Node::File(file)) = self.nodes.get_mut(&inode)
            && file.open == 0
            && !file.named
        {
            self.used -= std::mem::take(&mut file.charged);
        }
    }

    /// Reserves space for a file to have `size` bytes.
    fn charge(&mut self, inode: Inode, size: u64) -> Result<(), Errno> {
        let (used, capacity) = (self.used, self.options.capacity_bytes);
        let file = self.file(inode);
        let wanted = size.div_ceil(UNIT) * UNIT;
        if wanted > file.charged && used - file.charged + wanted > capacity {
            return Err(Errno::NOSPC);
        }
        let before = std::mem::replace(&mut file.charged, wanted);
        self.used = used - before + wanted;
        Ok(())
    }

    pub(crate) fn resize(&mut self, inode: Inode, size: u64) -> Result<(), Errno> {
        self.charge(inode, size)?;
        self.file(inode).data.resize(size);
        Ok(())
    }

    pub(crate) fn allocate(&mut self, inode: Inode, offset: u64, bytes: u64) -> Result<(), Errno> {
        let end = offset.checked_add(bytes).filter(|_| bytes > 0).ok_or(Errno::INVAL)?;
        if end <= self.file(inode).data.current().size() {
            return Ok(());
        }
        let resized = self.resize(inode, end);
        let free = self.options.capacity_bytes.saturating_sub(self.used) / UNIT * UNIT;
        if resized == Err(Errno::NOSPC) && self.options.allocates_in_part && free > 0 {
            let there = self.file(inode).charged;
            self.resize(inode, there + free)?;
        }
        resized
    }

    pub(crate) fn write(
        &mut self,
        inode: Inode,
        offset: u64,
        data: &[u8],
        durable: bool,
    ) -> Result<(), Errno> {
        let end = offset.checked_add(data.len() as u64).ok_or(Errno::INVAL)?;
        if end > self.file(inode).data.current().size() {
            self.charge(inode, end)?;
        }
        let file = self.file(inode);
        file.data.write(offset, data);
        if durable {
            file.data.harden(offset, data.len() as u64);
            self.keep_name(inode);
        }
        Ok(())
    }

    pub(crate) fn sync(&mut self, inode: Inode, upto: u64) {
        self.file(inode).data.sync(upto);
        self.keep_name(inode);
    }

    fn keep_name(&mut self, inode: Inode) {
        if !self.options.sync_keeps_name {
            return;
        }
        while let Some(at) = self.changes.iter().position(|(_, entries)| names(entries, inode)) {
            self.settle(at);
        }
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        let (from_parent, from_name) = self.parent(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        let (Some(from_name), Some(to_name)) = (from_name, to_name) else { return Err(Errno::INVAL) };
        let inode = *self.directory(from_parent)?.current.get(&from_name).ok_or(Errno::NOENT)?;
        let replaced = self.directory(to_parent)?.current.get(&to_name).copied();
        if replaced == Some(inode) {
            return Ok(());
        }
        let is_directory = matches!(self.nodes.get(&inode), Some(Node::Directory(_)));
        if let Some(replaced) = replaced {
            match self.nodes.get(&replaced) {
                Some(Node::Directory(_)) if !is_directory => return Err(Errno::ISDIR),
                Some(Node::File(_)) if is_directory => return Err(Errno::NOTDIR),
                Some(Node::Directory(directory)) if !directory.current.is_empty() => {
                    return Err(Errno::NOTEMPTY);
                }
                _ => {}
            }
        }
        if is_directory && self.is_within(to_parent, inode) {
            return Err(Errno::INVAL);
        }
        self.change(vec![(from_parent, from_name, None), (to_parent, to_name, Some(inode))]);
        if let Some(replaced) = replaced {
            self.unname(replaced);
        }
        Ok(())
    }

    /// `inode` is `ancestor` or lies below it.
    fn is_within(&self, inode: Inode, ancestor: Inode) -> bool {
        inode == ancestor
            || match self.nodes.get(&ancestor) {
                Some(Node::Directory(found)) => found.current.values().any(|&c| self.is_within(inode, c)),
                _ => false,
            }
    }

    fn unname(&mut self, inode: Inode) {
        if let Some(Node::File(file)) = self.nodes.get_mut(&inode) {
            file.named = false;
        }
        self.free(inode);
    }

    /// Removes a file, or with `directory` an empty directory.
    pub(crate) fn remove(&mut self, path: &Path, directory: bool) -> Result<(), Errno> {
        let (parent, name) = self.parent(path)?;
        let name = name.ok_or(Errno::INVAL)?;
        let inode = *self.directory(parent)?.current.get(&name).ok_or(Errno::NOENT)?;
        match self.nodes.get(&inode) {
            Some(Node::Directory(_)) if !directory => return Err(Errno::ISDIR),
            Some(Node::File(_)) if directory => return Err(Errno::NOTDIR),
            Some(Node::Directory(found)) if !found.current.is_empty() => return Err(Errno::NOTEMPTY),
            _ => {}
        }
        self.change(vec![(parent, name, None)]);
        self.unname(inode);
        Ok(())
    }

    pub(crate) fn make_directory(&mut self, path: &Path) -> Result<(), Errno> {
        let (parent, name) = self.parent(path)?;
        let name = name.ok_or(Errno::EXIST)?;
        if self.directory(parent)?.current.contains_key(&name) {
            return Err(Errno::EXIST);
        }
        self.create(Node::Directory(Directory::default()), parent, name);
        Ok(())
    }

    /// The directory that a sync is for, and the last change that it covers.
    pub(crate) fn sync_directory_begin(&mut self, path: &Path) -> Result<(Inode, u64), Errno> {
        let inode = self.find(path)?;
        self.directory(inode)?;
        Ok((inode, self.last_change))
    }

    pub(crate) fn sync_directory(&mut self, directory: Inode, upto: u64) {
        let covered = |(number, entries): &(u64, Vec<Entry>)| {
            *number <= upto && entries.iter().any(|entry| entry.0 == directory)
        };
        while let Some(at) = self.changes.iter().position(covered) {
            self.settle(at);
        }
        self.sweep();
    }

    /// Makes one directory change durable. What earlier ones say of the same names is overtaken.
    fn settle(&mut self, at: usize) {
        let (_, entries) = self.changes.remove(at);
        if let [_, (_, _, Some(moved))] = entries[..] {
            // A rename: its file has no second name, though the rename before it was lost.
            for node in self.nodes.values_mut() {
                if let Node::Directory(found) = node {
                    found.durable.retain(|_, inode| *inode != moved);
                }
            }
        }
        for (directory, name, inode) in entries {
            for (_, earlier) in &mut self.changes[..at] {
                earlier.retain(|entry| entry.0 != directory || entry.1 != name);
            }
            if let Some(Node::Directory(found)) = self.nodes.get_mut(&directory) {
                set(&mut found.durable, &name, inode);
            }
        }
        self.changes.retain(|(_, entries)| !entries.is_empty());
    }

    pub(crate) fn list(&mut self, path: &Path) -> Result<Vec<DirectoryEntry>, Errno> {
        let inode = self.find(path)?;
        let found: Vec<_> = self.directory(inode)?.current.clone().into_iter().collect();
        let entry = |(name, inode): (String, Inode)| {
            let is_directory = matches!(self.nodes.get(&inode), Some(Node::Directory(_)));
            DirectoryEntry { name, is_directory }
        };
        Ok(found.into_iter().map(entry).collect())
    }

    pub(crate) fn stat(&mut self, path: &Path) -> Result<Metadata, Errno> {
        let inode = self.find(path)?;
        Ok(match self.nodes.get(&inode) {
            Some(Node::File(file)) => Metadata { bytes: file.data.current().size(), is_directory: false },
            _ => Metadata { bytes: 0, is_directory: true },
        })
    }

    /// The contents of the file at a path as they would be found after a crash that keeps only what is durable:
    /// its name included.
    pub(crate) fn durable_file(&self, path: &Path) -> Option<&FileData> {
        let mut at = ROOT;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let Some(Node::Directory(directory)) = self.nodes.get(&at) else { return None };
            at = *directory.durable.get(name.to_str()?)?;
        }
        match self.nodes.get(&at) {
            Some(Node::File(file)) => Some(&file.data),
            _ => None,
        }
    }

    /// The contents of the file at a path as it is seen now.
    pub(crate) fn visible_file(&mut self, path: &Path) -> Option<&mut FileData> {
        let inode = self.find(path).ok()?;
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => Some(&mut file.data),
            _ => None,
        }
    }

    /// Paths and sizes of all files, as seen now.
    pub(crate) fn all_files(&self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        let mut below = vec![(String::new(), ROOT)];
        while let Some((path, inode)) = below.pop() {
            match self.nodes.get(&inode) {
                Some(Node::File(file)) => found.push((path, file.data.current().size())),
                Some(Node::Directory(directory)) => {
                    below.extend(
                        directory.current.iter().map(|(name, inode)| (format!("{path}/{name}"), *inode)),
                    );
                }
                None => {}
            }
        }
        found.sort();
        found
    }

    /// Bytes of the capacity that are taken.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.used
    }

    /// The machine stops. Keeps what is durable and a random part of the rest.
    pub(crate) fn crash(&mut self, random: &mut Random) -> Fates {
        let mut fates = Fates::default();
        let count = self.changes.len() as u64;
        let prefix = random.below(count + 1);
        let mut number = 0;
        let mut at = 0;
        while at < self.changes.len() {
            let kept = match self.options.directory_loss {
                DirectoryLoss::Any => random.one_in(2),
                DirectoryLoss::Prefix => number < prefix,
            };
            number += 1;
            if kept {
                let before = self.changes.len();
                self.settle(at);
                // Settling removes earlier changes that are overtaken, too.
                at -= before - self.changes.len() - 1;
            } else {
                at += 1;
            }
        }
        self.changes.clear();
        for node in self.nodes.values_mut() {
            match node {
                Node::Directory(directory) => directory.current = directory.durable.clone(),
                Node::File(file) => {
                    file.data.crash(random, &mut fates);
                    file.open = 0;
                }
            }
        }
        self.restart_accounts();
        fates
    }

    /// After a crash: forgets what no name leads to and counts the space again.
    fn restart_accounts(&mut self) {
        self.sweep();
        self.used = 0;
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.named = true;
                file.charged = file.data.current().size().div_ceil(UNIT) * UNIT;
                self.used += file.charged;
            }
        }
    }

    /// Forgets the files and directories that can never be reached again.
    fn sweep(&mut self) {
        let mut reached = std::collections::BTreeSet::from([ROOT]);
        let mut below = vec![ROOT];
        let pending = self.changes.iter().flat_map(|(_, entries)| entries);
        below.extend(pending.flat_map(|(directory, _, inode)| [Some(*directory), *inode]).flatten());
        while let Some(inode) = below.pop() {
            reached.insert(inode);
            if let Some(Node::Directory(directory)) = self.nodes.get(&inode) {
                let entries = directory.current.values().chain(directory.durable.values());
                below.extend(entries.filter(|inode| !reached.contains(inode)));
            }
        }
        self.nodes.retain(|inode, node| {
            reached.contains(inode) || matches!(node, Node::File(file) if file.open > 0)
        });
    }
}

fn set(entries: &mut BTreeMap<String, Inode>, name: &str, inode: Option<Inode>) {
    match inode {
        Some(inode) => drop(entries.insert(name.to_owned(), inode)),
        None => drop(entries.remove(name)),
    }
}

fn names(entries: &[Entry], inode: Inode) -> bool {
    entries.iter().any(|entry| entry.2 == Some(inode))
}
