//! What a thread asks of the kernel's scheduler and that std and rustix do not offer: [`set_slice`], [`set_idle`].
//!
//! Invariant: one system call a function, no state.

#![allow(unsafe_code)] // The calls have no safe wrapper; see the notes at each block.

mod idle;
mod slice;

pub use idle::set_idle;
pub use slice::{SLICE_MAX, set_slice};
