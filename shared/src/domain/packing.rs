//! Payloads in fewer bytes, because stores keep in memory what waits: a frame of Zstandard
//! ([RFC 8878](https://www.rfc-editor.org/rfc/rfc8878)) that tells the payload's size.
//!
//! At level 1: JSON repeats itself, and what does not (hashes, Base64) uses few of the 256 bytes. Of 1 KiB
//! of order lines are left 404 bytes, of hexadecimal noise 578, of Base64 827; a higher level saves nothing
//! more of payloads this small.

use std::cell::RefCell;

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::get_frame_content_size,
};

const LEVEL: i32 = 1;
/// Payloads below this are not worth packing…
const WORTH_PACKING: usize = 512;
/// …nor is what stays above this share of its size.
const WORTH_KEEPING: (usize, usize) = (7, 8);
/// A block of 4 bytes stands for 128 KiB at most: a frame that claims more for each of its own lies.
const MOST_BYTES_PER_BYTE: u64 = 128 * 1024 / 4;

thread_local! {
    // To make one takes longer than to pack a payload with it. None: there was no memory for it.
    static PACKER: Option<RefCell<Compressor<'static>>> =
        Compressor::new(LEVEL).ok().map(RefCell::new);
    static UNPACKER: Option<RefCell<Decompressor<'static>>> =
        Decompressor::new().ok().map(RefCell::new);
}

/// The payload packed, if that is worth it.
pub(super) fn pack(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() < WORTH_PACKING {
        return None;
    }
    let packed = PACKER
        .with(|packer| packer.as_ref().map(|packer| packer.borrow_mut().compress(payload)))?
        .ok()?;
    let (part, whole) = WORTH_KEEPING;
    (packed.len() < payload.len() / whole * part).then_some(packed)
}

/// What was packed; `None` if it is no such frame.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let size = get_frame_content_size(packed).ok()??;
    if size > (packed.len() as u64).saturating_mul(MOST_BYTES_PER_BYTE) {
        return None;
    }
    let size = usize::try_from(size).ok()?;
    let payload = UNPACKER
        .with(|unpacker| {
            unpacker.as_ref().map(|unpacker| unpacker.borrow_mut().decompress(packed, size))
        })?
        .ok()?;
    (payload.len() == size).then_some(payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(part in ".{1,40}", times in 1usize..4000) {
            let payload = part.repeat(times).into_bytes();
            match pack(&payload) {
                Some(packed) => {
                    prop_assert!(packed.len() < payload.len());
                    prop_assert_eq!(unpack(&packed), Some(payload));
                }
                None => prop_assert!(payload.len() < 1000),
            }
        }

        #[test]
        fn what_is_damaged_is_refused_or_read(at in 0usize..60, byte: u8) {
            let mut packed = pack(br#"{"a":[1,2,3,4,5,6,7,8]}"#.repeat(40).as_slice()).unwrap();
            if let Some(there) = packed.get_mut(at) {
                *there = byte;
            }
            let _ = unpack(&packed);
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes: Vec<u8>) {
            let _ = unpack(&bytes);
        }
    }

    #[test]
    fn noise_is_packed_as_far_as_json_can_be() {
        let numbers = (0..).map(|number: u64| xxhash_rust::xxh3::xxh3_64(&number.to_le_bytes()));
        let hex: String = numbers.map(|noise| format!("{noise:016x}")).take(64).collect();
        assert!(pack(hex.as_bytes()).unwrap().len() < 640);
        let bytes: Vec<u8> = (0..64u64)
            .flat_map(|number| xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes()).to_le_bytes())
            .collect();
        assert_eq!(pack(&bytes), None, "what cannot be packed stays as it is");
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_room_is_made() {
        // Magic number; single segment with a size of 8 bytes; the size; an empty last block.
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        frame.extend((u64::MAX / 4).to_le_bytes());
        frame.extend([1, 0, 0]);
        assert_eq!(get_frame_content_size(&frame).unwrap(), Some(u64::MAX / 4));
        assert_eq!(unpack(&frame), None);
    }
}
