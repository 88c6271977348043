//! A segment's file: requests one after the other, each behind its length, its kind and a checksum.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::Entry;
use crate::sources::otlp::Signal;

/// Length and number of records (4 bytes each), signal, content, two unused bytes, checksum (8).
pub(super) const HEADER: usize = 20;

/// Longest body believed; longer ones are never written.
const MAX_BODY: u32 = 64 * 1024 * 1024;

/// A segment as it is known in memory.
#[derive(Debug)]
pub(super) struct Segment {
    pub number: u64,
    /// Bytes of whole requests.
    pub bytes: u64,
    /// Records that were not delivered yet.
    pub waiting: u64,
}

/// The file of a segment.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.seg"))
}

/// The number in a segment's name.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// A request as it stands in the file.
pub(super) fn encode(entry: &Entry) -> io::Result<Vec<u8>> {
    let length = u32::try_from(entry.body.len()).ok().filter(|n| *n <= MAX_BODY);
    let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut bytes = Vec::with_capacity(HEADER + entry.body.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&entry.records.to_le_bytes());
    bytes.push(signal_byte(entry.signal));
    bytes.push(u8::from(entry.content));
    bytes.extend_from_slice(&[0, 0]);
    let hash = checksum(&bytes, &entry.body);
    bytes.extend_from_slice(&hash.to_le_bytes());
    bytes.extend_from_slice(&entry.body);
    Ok(bytes)
}

impl Segment {
    /// Counts what a file holds and what of it waits from byte `from` on; a torn end does not count.
    pub(super) fn scan(dir: &Path, number: u64, from: u64) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path(dir, number))?);
        let size = file.get_ref().metadata()?.len();
        let mut segment = Self { number, bytes: 0, waiting: 0 };
        let mut header = [0; HEADER];
        while segment.bytes + HEADER as u64 <= size {
            file.read_exact(&mut header)?;
            let Some(head) = Head::read(&header) else { break };
            let end = segment.bytes + HEADER as u64 + u64::from(head.length);
            if end > size {
                break;
            }
            if segment.bytes >= from {
                segment.waiting += u64::from(head.records);
            }
            file.seek_relative(i64::from(head.length))?;
            segment.bytes = end;
        }
        Ok(segment)
    }
}

/// Reads requests from byte `from` on, up to `end`: at most so many, and so many bytes, but one in any case. Returns them
/// and where they end; none when what stands there cannot be read.
pub(super) fn read(
    dir: &Path,
    number: u64,
    from: u64,
    end: u64,
    most: usize,
    most_bytes: usize,
) -> io::Result<(Vec<Entry>, u64)> {
    let mut file = File::open(path(dir, number))?;
    file.seek(SeekFrom::Start(from))?;
    let mut file = BufReader::new(file.take(end.saturating_sub(from)));
    let (mut entries, mut at, mut bytes) = (Vec::new(), from, 0);
    while entries.len() < most {
        let mut header = [0; HEADER];
        if file.read_exact(&mut header).is_err() {
            break;
        }
        let Some(head) = Head::read(&header) else { break };
        let Ok(length) = usize::try_from(head.length) else { break };
        bytes += length;
        if bytes > most_bytes && !entries.is_empty() {
            break;
        }
        let mut body = vec![0; length];
        if file.read_exact(&mut body).is_err() {
            break;
        }
        let (front, hash) = header.split_at(HEADER - 8);
        if hash != checksum(front, &body).to_le_bytes() {
            break;
        }
        at += (HEADER + length) as u64;
        entries.push(Entry { signal: head.signal, content: head.content, records: head.records, body });
    }
    Ok((entries, at))
}

struct Head {
    length: u32,
    records: u32,
    signal: Signal,
    content: bool,
}

impl Head {
    fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, signal, content, ..] = *bytes;
        let length = u32::from_le_bytes([a, b, c, d]);
        let signal = Signal::ALL.into_iter().find(|s| signal_byte(*s) == signal)?;
        (length <= MAX_BODY).then_some(Self {
            length,
            records: u32::from_le_bytes([e, f, g, h]),
            signal,
            content: content != 0,
        })
    }
}

fn signal_byte(signal: Signal) -> u8 {
    match signal {
        Signal::Logs => 1,
        Signal::Traces => 2,
        Signal::Metrics => 3,
    }
}

fn checksum(header: &[u8], body: &[u8]) -> u64 {
    xxh3_64(header) ^ xxh3_64(body)
}

/// How far was delivered; `None` when the file is new or torn, and everything there is counts as not delivered.
pub(super) fn read_position(mut file: &File) -> Option<(u64, u64)> {
    let mut bytes = [0; 24];
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    let (numbers, hash) = bytes.split_at(16);
    let (segment, offset) = numbers.split_at(8);
    let word = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
    (word(hash)? == xxh3_64(numbers)).then_some((word(segment)?, word(offset)?))
}

/// Writes it over the old one, in one go.
pub(super) fn write_position(mut file: &File, segment: u64, offset: u64) -> io::Result<()> {
    use std::io::Write;
    let numbers = [segment.to_le_bytes(), offset.to_le_bytes()].concat();
    let bytes = [&numbers[..], &xxh3_64(&numbers).to_le_bytes()].concat();
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)
}
