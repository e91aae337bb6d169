//! The bytes of a file, only those pages stored that were written.

use std::collections::BTreeMap;
use std::rc::Rc;

const PAGE: usize = 4096;

/// Bytes with a size. Copies share their pages until one of them writes.
#[derive(Clone, Default)]
pub(crate) struct Content {
    pages: BTreeMap<u64, Rc<[u8; PAGE]>>,
    size: u64,
}

impl Content {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Reads from `offset`; returns how many bytes there were, fewer at the end.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> usize {
        let length = self.size.saturating_sub(offset).min(into.len() as u64) as usize;
        let mut done = 0;
        while done < length {
            let (page, within) = Self::place(offset + done as u64);
            let count = (PAGE - within).min(length - done);
            match self.pages.get(&page) {
                Some(bytes) => into[done..done + count].copy_from_slice(&bytes[within..within + count]),
                None => into[done..done + count].fill(0),
            }
            done += count;
        }
        length
    }

    /// The bytes of a range, zeros after the end.
    pub(crate) fn range(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read(offset, &mut bytes);
        bytes
    }

    /// The first byte from `offset` on that is not zero: what is not can as well have been left out.
    pub(crate) fn find_written(&self, offset: u64) -> Option<u64> {
        let (first, skipped) = Self::place(offset);
        self.pages.range(first..).find_map(|(&page, bytes)| {
            let from = if page == first { skipped } else { 0 };
            let within = bytes[from..].iter().position(|&byte| byte != 0)?;
            Some(page * PAGE as u64 + (from + within) as u64)
        })
    }

    /// Writes what of `data` lies before the end; the size stays.
    pub(crate) fn write_within(&mut self, offset: u64, data: &[u8]) {
        let length = self.size.saturating_sub(offset).min(data.len() as u64) as usize;
        let mut done = 0;
        while done < length {
            let (page, within) = Self::place(offset + done as u64);
            let count = (PAGE - within).min(length - done);
            let bytes = self.pages.entry(page).or_insert_with(|| Rc::new([0; PAGE]));
            Rc::make_mut(bytes)[within..within + count].copy_from_slice(&data[done..done + count]);
            done += count;
        }
    }

    /// Sets the size; what is cut off is zeros if the file grows again.
    pub(crate) fn resize(&mut self, size: u64) {
        if size < self.size {
            let (page, within) = Self::place(size);
            let keep = if within == 0 { page } else { page + 1 };
            self.pages.split_off(&keep);
            if let Some(bytes) = self.pages.get_mut(&page) {
                Rc::make_mut(bytes)[within..].fill(0);
            }
        }
        self.size = size;
    }

    fn place(offset: u64) -> (u64, usize) {
        (offset / PAGE as u64, (offset % PAGE as u64) as usize)
    }
}
