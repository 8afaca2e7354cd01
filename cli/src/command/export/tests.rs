use std::sync::{Arc, Mutex};

use super::*;

const MANIFEST: &str = "{\"export\":{\"format\":1,\"cluster\":\"c\",\"prefix64\":\"YQ\"}}\n";

fn begun_of(text: &str) -> (Option<Manifest>, Option<Begun>) {
    begun(text.as_bytes()).expect("memory can be read")
}

#[test]
fn an_export_goes_on_after_its_last_whole_cursor() {
    let page = "{\"key\":\"a\",\"value\":\"1\"}\n{\"cursor\":\"1.AQ\"}\n";
    let bytes = (MANIFEST.len() + page.len()) as u64;
    let at = Begun::At { bytes, cursor: "1.AQ".to_owned(), keys: 1 };
    for torn in ["", "{\"key\":\"b\",\"va", "{\"key\":\"b\",\"value\":\"\"}\n{\"cursor\":\"2.A"] {
        let (manifest, begun) = begun_of(&format!("{MANIFEST}{page}{torn}"));
        assert_eq!(begun.as_ref(), Some(&at), "{torn}");
        assert_eq!(manifest.and_then(|it| it.prefix64).as_deref(), Some("YQ"));
    }
    let whole = format!("{MANIFEST}{page}{{\"end\":{{\"keys\":1}}}}\n");
    assert_eq!(begun_of(&whole).1, Some(Begun::Whole(1)));
    assert_eq!(begun_of(MANIFEST).1, None);
    assert_eq!(begun_of("nothing of ours\n").0, None);
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn pieces_are_written_as_they_come_but_for_a_second_manifest() {
    let memory = Memory::default();
    let mut sink = Sink { skip: 1, keys: 5, ..Sink::new(Box::new(memory.clone())) };
    let text = format!("{MANIFEST}{{\"key\":\"b\",\"value\":\"2\"}}\n{{\"end\":{{\"keys\":6}}}}\n");
    for piece in text.as_bytes().chunks(7) {
        assert_eq!(sink.end(), None, "not before the end mark");
        sink.take(piece).expect("memory can be written");
    }
    assert_eq!((sink.keys, sink.end()), (6, Some(6)));
    let written = memory.0.lock().expect("no panic").clone();
    assert_eq!(written, &text.as_bytes()[MANIFEST.len()..]);
}

#[test]
fn the_bar_can_be_drawn() {
    bar(false).finish_and_clear();
    assert!(bar(true).is_hidden());
}
