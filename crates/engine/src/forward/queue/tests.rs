use super::*;

fn entry(n: u32, bytes: usize) -> Entry {
    let fill = u8::try_from(n % 251).unwrap();
    Entry {
        signal: Signal::ALL[n as usize % 3],
        content: n.is_multiple_of(2),
        records: 1,
        body: vec![fill; bytes],
    }
}

fn drain(queue: &Queue) -> Vec<Entry> {
    let mut all = Vec::new();
    while let Some(mut next) = queue.next().unwrap() {
        let entries = std::mem::take(&mut next.entries);
        let records = entries.iter().map(|e| u64::from(e.records)).sum();
        all.extend(entries);
        queue.done(&next, records).unwrap();
    }
    all
}

const MB: u64 = 1024 * 1024;

#[test]
fn what_is_pushed_comes_out_once_and_in_order_over_many_segments() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(&dir.path().join("forward"), 4 * MB).unwrap();
    let all: Vec<Entry> = (0..300).map(|n| entry(n, 9_000)).collect();
    for entry in &all {
        queue.push(entry).unwrap();
    }
    assert_eq!(queue.fill().records, 300);
    assert_eq!(drain(&queue), all);
    assert_eq!(queue.fill(), Fill::default());
    assert_eq!(drain(&queue), []);
    queue.push(&all[7]).unwrap();
    assert_eq!(drain(&queue), [all[7].clone()]);
    let files = std::fs::read_dir(dir.path().join("forward")).unwrap().count();
    assert!(files <= 2, "delivered segments are removed: {files}");
}

#[test]
fn a_process_that_died_left_everything_it_appended_and_what_was_delivered_is_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let all: Vec<Entry> = (0..100).map(|n| entry(n, 20_000)).collect();
    let queue = Queue::open(dir.path(), 64 * MB).unwrap();
    for entry in &all[..60] {
        queue.push(entry).unwrap();
    }
    let mut next = queue.next().unwrap().unwrap();
    let delivered = std::mem::take(&mut next.entries).len();
    queue.done(&next, delivered as u64).unwrap();
    // Read, and not delivered when it died.
    let under_way = queue.next().unwrap().unwrap().entries.len();
    assert!(delivered > 1 && under_way > 0);
    // No destructor has anything to write: this is what kill -9 leaves.
    drop(queue);
    let queue = Queue::open(dir.path(), 64 * MB).unwrap();
    assert_eq!(queue.fill().records, 60 - delivered as u64);
    for entry in &all[60..] {
        queue.push(entry).unwrap();
    }
    assert_eq!(drain(&queue), all[delivered..]);
}

#[test]
fn a_torn_end_is_passed_over_and_what_follows_is_there() {
    for cut in [1, 10, HEADER_AND_MORE, 5_000] {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path(), 64 * MB).unwrap();
        for n in 0..3 {
            queue.push(&entry(n, 10_000)).unwrap();
        }
        let segment = segment::path(dir.path(), queue.lock().segments[0].number);
        drop(queue);
        let length = std::fs::metadata(&segment).unwrap().len();
        OpenOptions::new().write(true).open(&segment).unwrap().set_len(length - cut).unwrap();
        let queue = Queue::open(dir.path(), 64 * MB).unwrap();
        queue.push(&entry(9, 10_000)).unwrap();
        assert_eq!(drain(&queue), [entry(0, 10_000), entry(1, 10_000), entry(9, 10_000)], "{cut}");
        assert_eq!(queue.fill().damaged, 0, "a torn end is no damage");
    }
}

const HEADER_AND_MORE: u64 = 10_010;

#[test]
fn a_damaged_segment_is_given_up_from_there_on_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path(), 64 * MB).unwrap();
    for n in 0..3 {
        queue.push(&entry(n, 10_000)).unwrap();
    }
    let path = segment::path(dir.path(), queue.lock().segments[0].number);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[15_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(drain(&queue), [entry(0, 10_000)]);
    assert_eq!((queue.fill().damaged, queue.fill().dropped), (1, 2));
    queue.push(&entry(5, 10)).unwrap();
    assert_eq!(drain(&queue), [entry(5, 10)]);
    // The word on how far was delivered is torn: everything there counts as not delivered.
    queue.push(&entry(6, 10)).unwrap();
    drop(queue);
    std::fs::write(dir.path().join(POSITION), b"torn").unwrap();
    let queue = Queue::open(dir.path(), 64 * MB).unwrap();
    assert_eq!(drain(&queue).last(), Some(&entry(6, 10)));
}

#[test]
fn when_it_is_full_the_oldest_go_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let max = 2 * MB;
    let queue = Queue::open(dir.path(), max).unwrap();
    let under_way = {
        queue.push(&entry(0, 50_000)).unwrap();
        queue.next().unwrap().unwrap()
    };
    for n in 1..200 {
        queue.push(&entry(n, 50_000)).unwrap();
        let on_disk: u64 =
            std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(on_disk <= max + 100, "{on_disk}");
    }
    let fill = queue.fill();
    assert!(fill.records >= 30 && fill.records + fill.dropped == 200, "{fill:?}");
    // It arrived after all.
    queue.done(&under_way, 1).unwrap();
    assert_eq!(queue.fill().dropped, fill.dropped - 1);
    let left: Vec<Entry> = drain(&queue);
    let first = 200 - u32::try_from(left.len()).unwrap();
    assert_eq!(left, (first..200).map(|n| entry(n, 50_000)).collect::<Vec<_>>(), "the latest, in order");
    assert!(queue.push(&entry(1, usize::try_from(3 * MB).unwrap())).is_err(), "larger than all of it");
    queue.push(&entry(2, 10)).unwrap();
    assert_eq!(drain(&queue), [entry(2, 10)]);
}

#[test]
fn a_smaller_bound_holds_from_the_next_start_on() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path(), 64 * MB).unwrap();
    for n in 0..200 {
        queue.push(&entry(n, 100_000)).unwrap();
    }
    drop(queue);
    let queue = Queue::open(dir.path(), 8 * MB).unwrap();
    assert!(queue.fill().bytes <= 8 * MB && queue.fill().dropped > 0, "{:?}", queue.fill());
    assert_eq!(drain(&queue).last(), Some(&entry(199, 100_000)));
}

#[test]
fn only_its_owner_may_read_it_and_it_goes_when_it_is_switched_off() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("forward");
    let queue = Queue::open(&folder, 64 * MB).unwrap();
    queue.push(&entry(0, 10)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for file in std::fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    drop(queue);
    remove(&folder).unwrap();
    assert!(!folder.exists());
    remove(&folder).unwrap();
}

proptest::proptest! {
    #![proptest_config(crate::cases::config(256))]

    /// Against a plain list: any sequence of pushes, deliveries and restarts gives what was pushed, in order, at least
    /// once and, without a death between delivery and its note, exactly once.
    #[test]
    fn any_history_delivers_everything_in_order(steps in proptest::collection::vec((0u8..4, 1usize..40_000), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(dir.path(), 64 * MB).unwrap();
        let (mut pushed, mut got) = (Vec::new(), Vec::new());
        for (step, size) in steps {
            match step {
                0 | 1 => {
                    let entry = entry(u32::try_from(pushed.len()).unwrap(), size);
                    queue.push(&entry).unwrap();
                    pushed.push(entry);
                }
                2 => {
                    if let Some(mut next) = queue.next().unwrap() {
                        let entries = std::mem::take(&mut next.entries);
                        queue.done(&next, entries.len() as u64).unwrap();
                        got.extend(entries);
                    }
                }
                _ => {
                    drop(queue);
                    queue = Queue::open(dir.path(), 64 * MB).unwrap();
                }
            }
            proptest::prop_assert_eq!(queue.fill().records, (pushed.len() - got.len()) as u64);
        }
        got.extend(drain(&queue));
        proptest::prop_assert_eq!(got, pushed);
    }
}
