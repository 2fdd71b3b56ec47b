//! Whether a video file is as long as its own headers say. A demuxer takes the end of a cut-off file for the end of the
//! video and says nothing, so the headers are read here: MP4/MOV boxes, AVI's RIFF chunks, Matroska's segment.
//! Pure reading and seeking; knows no codec.

use std::io::{self, Read, Seek, SeekFrom};

/// What is wrong with a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainerFault {
    /// An MP4 without its index: the recorder was stopped before it could write it.
    #[error(
        "the MP4 has no index (\"moov\" box): its recording was never finished or its end is missing; \
         copy it again or repair it, for example with untrunc"
    )]
    Unfinished,
    /// Headers promise more bytes than there are.
    #[error("the file is cut short: {found} of {declared} bytes are there; copy or download it again")]
    CutShort {
        /// Length according to the headers, bytes.
        declared: u64,
        /// Length of the file, bytes.
        found: u64,
    },
}

/// Looks for a fault in the outermost structure of a file; `None` if it is sound or of a kind that does not tell.
pub fn fault_of(file: &mut (impl Read + Seek)) -> io::Result<Option<ContainerFault>> {
    let found = file.seek(SeekFrom::End(0))?;
    let mut head = [0; 12];
    if found < head.len() as u64 {
        return Ok(None);
    }
    read_at(file, 0, &mut head)?;
    match &head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' '] => riff_fault(file, found),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska_fault(file, found),
        [_, _, _, _, kind @ .., _, _, _, _] if TOP_BOXES.contains(kind) => mp4_fault(file, found),
        _ => Ok(None),
    }
}

/// Boxes an MP4 or MOV file may begin with (ISO/IEC 14496-12, table 1; `wide` and `pnot` are QuickTime's).
const TOP_BOXES: [[u8; 4]; 9] =
    [*b"ftyp", *b"styp", *b"moov", *b"moof", *b"mdat", *b"free", *b"skip", *b"wide", *b"pnot"];

/// Boxes looked at before a file is taken for garbage: two a fragment, so 40 days of one-second fragments.
const MAX_BOXES: u32 = 7_000_000;

fn mp4_fault(file: &mut (impl Read + Seek), found: u64) -> io::Result<Option<ContainerFault>> {
    let (mut at, mut has_index) = (0, false);
    for _ in 0..MAX_BOXES {
        if at + 8 > found {
            break;
        }
        let mut head = [0; 8];
        read_at(file, at, &mut head)?;
        let [a, b, c, d, kind @ ..] = head;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            0 => found - at,
            1 if at + 16 <= found => {
                let mut large = [0; 8];
                read_at(file, at + 8, &mut large)?;
                u64::from_be_bytes(large)
            }
            small => u64::from(small),
        };
        has_index |= &kind == b"moov";
        let end = at.saturating_add(size);
        if size < 8 {
            break;
        }
        if end > found && has_index {
            return Ok(Some(ContainerFault::CutShort { declared: end, found }));
        }
        at = end;
    }
    Ok((!has_index).then_some(ContainerFault::Unfinished))
}

/// Some recorders write the file's length where the length after the header belongs: 8 bytes too many.
const RIFF_SLACK: u64 = 8;

fn riff_fault(file: &mut (impl Read + Seek), found: u64) -> io::Result<Option<ContainerFault>> {
    let mut at = 0;
    // Files over 1 GB are a row of RIFF chunks (OpenDML).
    while at + 8 <= found {
        let mut head = [0; 8];
        read_at(file, at, &mut head)?;
        let [kind @ .., a, b, c, d] = head;
        let size = u64::from(u32::from_le_bytes([a, b, c, d]));
        let unknown = size == 0 || size == u64::from(u32::MAX);
        if &kind != b"RIFF" || unknown {
            return Ok(None);
        }
        let end = at + 8 + size;
        if end > found + RIFF_SLACK {
            return Ok(Some(ContainerFault::CutShort { declared: end, found }));
        }
        at = end + size % 2;
    }
    Ok(None)
}

fn matroska_fault(file: &mut (impl Read + Seek), found: u64) -> io::Result<Option<ContainerFault>> {
    const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];
    let Some((Some(header_size), header_len)) = ebml_size(file, 4)? else { return Ok(None) };
    let segment_at = (4 + header_len).saturating_add(header_size);
    if segment_at.saturating_add(12) > found {
        return Ok(None);
    }
    let mut id = [0; 4];
    read_at(file, segment_at, &mut id)?;
    if id != SEGMENT {
        return Ok(None);
    }
    let Some((Some(size), size_len)) = ebml_size(file, segment_at + 4)? else { return Ok(None) };
    let declared = (segment_at + 4 + size_len).saturating_add(size);
    Ok((declared > found).then_some(ContainerFault::CutShort { declared, found }))
}

/// EBML variable-length size at `at`: (value, bytes it takes); the value is `None` where it is "unknown" (all ones).
fn ebml_size(file: &mut (impl Read + Seek), at: u64) -> io::Result<Option<(Option<u64>, u64)>> {
    let mut bytes = [0; 8];
    read_at(file, at, &mut bytes)?;
    let len = bytes[0].leading_zeros() + 1;
    if len > 8 {
        return Ok(None);
    }
    let all_ones = (1u64 << (7 * len)) - 1;
    let value = (u64::from_be_bytes(bytes) >> (64 - 8 * len)) & all_ones;
    Ok(Some(((value != all_ones).then_some(value), u64::from(len))))
}

fn read_at(file: &mut (impl Read + Seek), at: u64, into: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn mp4_box(kind: &[u8; 4], payload: usize) -> Vec<u8> {
        let size = u32::try_from(payload + 8).expect("small");
        [&size.to_be_bytes()[..], kind, &vec![0; payload]].concat()
    }

    fn fault(bytes: &[u8]) -> Option<ContainerFault> {
        fault_of(&mut Cursor::new(bytes)).expect("reads")
    }

    #[test]
    fn mp4() {
        let whole = [mp4_box(b"ftyp", 8), mp4_box(b"moov", 40), mp4_box(b"mdat", 100)].concat();
        assert_eq!(fault(&whole), None);
        let declared = whole.len() as u64;
        assert_eq!(fault(&whole[..100]), Some(ContainerFault::CutShort { declared, found: 100 }));
        let unfinished = [mp4_box(b"ftyp", 8), mp4_box(b"mdat", 100)].concat();
        assert_eq!(fault(&unfinished), Some(ContainerFault::Unfinished));
        assert_eq!(fault(&unfinished[..60]), Some(ContainerFault::Unfinished));
        let to_the_end = [&whole[..64], &[0, 0, 0, 0], b"mdat", &[1; 9][..]].concat();
        assert_eq!(fault(&to_the_end), None);
        let large = [&whole[..64], &[0, 0, 0, 1], b"mdat", &20u64.to_be_bytes(), &[7; 4][..]].concat();
        assert_eq!(fault(&large), None);
        assert!(fault(&large[..large.len() - 1]).is_some());
    }

    #[test]
    fn avi() {
        let avi = |size: u32, payload: usize| [b"RIFF", &size.to_le_bytes()[..], b"AVI ", &vec![0; payload]].concat();
        assert_eq!(fault(&avi(104, 100)), None);
        assert_eq!(fault(&avi(112, 100)), None, "length of the file instead of the chunk");
        assert_eq!(fault(&avi(0, 100)), None, "streamed");
        assert_eq!(fault(&avi(500, 100)), Some(ContainerFault::CutShort { declared: 508, found: 112 }));
    }

    #[test]
    fn matroska() {
        let mkv = |size: &[u8], payload: usize| {
            [&[0x1a, 0x45, 0xdf, 0xa3, 0x82, 0, 0, 0x18, 0x53, 0x80, 0x67][..], size, &vec![0; payload]].concat()
        };
        assert_eq!(fault(&mkv(&[0x40, 50], 50)), None);
        assert_eq!(fault(&mkv(&[0xff], 50)), None, "unknown size");
        assert_eq!(fault(&mkv(&[0x40, 90], 50)), Some(ContainerFault::CutShort { declared: 103, found: 63 }));
    }

    #[test]
    fn other_files_are_not_judged() {
        for other in [&b""[..], b"hello", b"hello, this is a text and no video", &[0; 64]] {
            assert_eq!(fault(other), None);
        }
    }

    proptest! {
        #[test]
        fn never_fails_on_any_bytes(start in 0usize..4, mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let starts: [&[u8]; 4] = [b"", b"RIFF\x10\0\0\0AVI ", b"\x1a\x45\xdf\xa3", b"\0\0\0\x18ftyp"];
            bytes.splice(0..0, starts[start].iter().copied());
            prop_assert!(fault_of(&mut Cursor::new(bytes)).is_ok());
        }
    }
}
