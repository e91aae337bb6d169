//! A buddy allocator over page numbers. Pure: it hands out numbers, the pool knows the memory.
//!
//! A block of order `o` is `2^o` pages and begins at a multiple of its size; its buddy is the other half of
//! the block of order `o + 1`. Freeing joins buddies again, so the arena does not fragment for good.

const NONE: u32 = u32::MAX;
/// Tag of a page that does not begin a block.
const INSIDE: u8 = 0;
/// Tag bit of a page that begins a free block; the low bits hold its order.
const FREE: u8 = 0x40;
/// Tag bit of a page that begins a block in use; the low bits hold its order.
const USED: u8 = 0x80;
const ORDER_MASK: u8 = 0x3f;

/// Which pages of an arena are free.
pub(crate) struct Buddy {
    /// Heads of the free lists, one an order.
    heads: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    tags: Vec<u8>,
    free_pages: u32,
}

impl Buddy {
    /// An allocator over `pages` pages, all free. Any number of pages will do: the arena is covered by the
    /// largest aligned blocks that fit.
    pub(crate) fn new(pages: u32) -> Buddy {
        assert!(pages > 0 && pages < NONE, "an arena of {pages} pages");
        let orders = (32 - pages.leading_zeros()) as usize;
        let length = pages as usize;
        let mut buddy = Buddy {
            heads: vec![NONE; orders],
            next: vec![NONE; length],
            previous: vec![NONE; length],
            tags: vec![INSIDE; length],
            free_pages: 0,
        };
        buddy.cover(pages);
        buddy
    }

    fn cover(&mut self, pages: u32) {
        // Pushed from the end, so that the lowest addresses are handed out first.
        for (page, order) in largest_blocks(pages).into_iter().rev() {
            self.push(page, order);
            self.free_pages += 1 << order;
        }
    }

    /// The first page of a free block of `2^order` pages, or `None` if no such block is free.
    pub(crate) fn take(&mut self, order: u32) -> Option<u32> {
        let found = (order as usize..self.heads.len()).find(|&o| self.heads[o] != NONE)?;
        let page = self.heads[found];
        self.unlink(page, found as u32);
        for split in (order..found as u32).rev() {
            self.push(page + (1 << split), split);
        }
        self.tags[page as usize] = USED | order as u8;
        self.free_pages -= 1 << order;
        Some(page)
    }

    /// Takes the block of `2^order` pages that begins at `page`, if all of it is free.
    pub(crate) fn take_at(&mut self, page: u32, order: u32) -> bool {
        let begin = |order: u32| page >> order << order;
        let mut orders = order..self.heads.len() as u32;
        let is_free = |&o: &u32| self.tags[begin(o) as usize] == FREE | o as u8;
        let Some(found) = orders.find(is_free) else { return false };
        self.unlink(begin(found), found);
        for split in (order..found).rev() {
            // The half in which the block does not lie.
            self.push(begin(split) ^ (1 << split), split);
        }
        self.tags[page as usize] = USED | order as u8;
        self.free_pages -= 1 << order;
        true
    }

    /// Frees the block that begins at `page` and joins it with its buddies.
    pub(crate) fn give(&mut self, page: u32) {
        let tag = self.tags[page as usize];
        assert!(tag & USED != 0, "page {page} is freed twice or begins no block (tag {tag:#x})");
        let mut order = u32::from(tag & ORDER_MASK);
        self.free_pages += 1 << order;
        self.tags[page as usize] = INSIDE;
        let mut page = page;
        while (order as usize) + 1 < self.heads.len() {
            let buddy = page ^ (1 << order);
            if self.tags.get(buddy as usize) != Some(&(FREE | order as u8)) {
                break;
            }
            self.unlink(buddy, order);
            page = page.min(buddy);
            order += 1;
        }
        self.push(page, order);
    }

    /// Pages in free blocks.
    pub(crate) fn free_pages(&self) -> u32 {
        self.free_pages
    }

    fn push(&mut self, page: u32, order: u32) {
        let head = self.heads[order as usize];
        self.next[page as usize] = head;
        self.previous[page as usize] = NONE;
        if head != NONE {
            self.previous[head as usize] = page;
        }
        self.heads[order as usize] = page;
        self.tags[page as usize] = FREE | order as u8;
    }

    fn unlink(&mut self, page: u32, order: u32) {
        let (previous, next) = (self.previous[page as usize], self.next[page as usize]);
        if previous == NONE {
            self.heads[order as usize] = next;
        } else {
            self.next[previous as usize] = next;
        }
        if next != NONE {
            self.previous[next as usize] = previous;
        }
        self.tags[page as usize] = INSIDE;
    }
}

/// First pages and orders of the largest blocks, each at a multiple of its size, that are `pages` together.
fn largest_blocks(pages: u32) -> Vec<(u32, u32)> {
    let mut blocks = Vec::new();
    let mut page = 0_u32;
    while page < pages {
        // What is left, and not where the block would end: that may be more than a page's number can be.
        let order = (pages - page).ilog2().min(page.trailing_zeros());
        blocks.push((page, order));
        page += 1 << order;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_all_pages_once_and_no_more() {
        // From 8 TiB on, the end of a block that does not fit is no number of 32 bits.
        for pages in [1, 2, 3, 777, 1 << 31, 3 << 30, NONE - 1] {
            let mut next = 0_u64;
            for (page, order) in largest_blocks(pages) {
                assert_eq!((u64::from(page), page % (1 << order)), (next, 0), "{pages}");
                next += 1_u64 << order;
            }
            assert_eq!(next, u64::from(pages));
        }
    }

    #[test]
    fn gives_out_everything_and_joins_it_again() {
        for pages in [1, 2, 3, 7, 8, 100, 1000, 4096] {
            let mut buddy = Buddy::new(pages);
            assert_eq!(buddy.free_pages(), pages);
            let taken: Vec<u32> = std::iter::from_fn(|| buddy.take(0)).collect();
            assert_eq!(taken.len(), pages as usize, "each page once");
            assert_eq!(buddy.free_pages(), 0);
            for page in taken {
                buddy.give(page);
            }
            assert_eq!(buddy.free_pages(), pages);
            let largest = 31 - pages.leading_zeros();
            assert!(buddy.take(largest).is_some(), "{pages} pages are whole again");
        }
    }

    #[test]
    fn random_use_never_overlaps() {
        let mut random = base::Random::new(42);
        let mut buddy = Buddy::new(777);
        let mut owners = vec![false; 777];
        let mut held: Vec<(u32, u32)> = Vec::new();
        for _ in 0..20_000 {
            if held.is_empty() || random.one_in(2) {
                let order = random.below(6) as u32;
                let place = (random.below(777) as u32) >> order << order;
                let page = if random.one_in(4) {
                    let range = place as usize..(place + (1 << order)) as usize;
                    let free = owners.get(range).is_some_and(|owners| !owners.contains(&true));
                    assert_eq!(buddy.take_at(place, order), free, "{place} of order {order}");
                    free.then_some(place)
                } else {
                    buddy.take(order)
                };
                let Some(page) = page else { continue };
                assert_eq!(page % (1 << order), 0, "aligned to its size");
                for owner in &mut owners[page as usize..(page + (1 << order)) as usize] {
                    assert!(!std::mem::replace(owner, true), "a page handed out twice");
                }
                held.push((page, order));
            } else {
                let (page, order) = held.swap_remove(random.below(held.len() as u64) as usize);
                buddy.give(page);
                owners[page as usize..(page + (1 << order)) as usize].fill(false);
            }
            let used = owners.iter().filter(|&&used| used).count() as u32;
            assert_eq!(buddy.free_pages() + used, 777);
        }
    }

    #[test]
    #[should_panic(expected = "freed twice")]
    fn a_double_free_is_caught() {
        let mut buddy = Buddy::new(4);
        let page = buddy.take(0).expect("a page");
        buddy.give(page);
        buddy.give(page);
    }
}
