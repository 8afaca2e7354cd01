use super::*;

const KEY: &str = "{\"key\":\"a\",\"value\":\"1\"}\n";

fn source(text: &str) -> Source<&[u8]> {
    Source::new(text.as_bytes(), "it".to_owned())
}

fn read_all(source: &mut Source<&[u8]>) -> Vec<u8> {
    let mut all = Vec::new();
    while source.next(&mut all).expect("memory can be read") {}
    all
}

#[test]
fn lines_and_keys_are_counted_and_a_cut_is_noticed() {
    let manifest = "{\"export\":{\"format\":1}}\n";
    let cut = |text: &str| {
        let mut source = source(text);
        assert_eq!(read_all(&mut source), text.as_bytes());
        (source.read, source.keys, source.cut().is_some())
    };
    let end = |keys| format!("{{\"end\":{{\"keys\":{keys}}}}}");
    assert_eq!(cut(&format!("{manifest}{KEY}{KEY}{}", end(2))), (4, 2, false));
    assert_eq!(cut(&format!("{manifest}{KEY}{}\n", end(2))), (3, 1, true), "one is missing");
    assert_eq!(cut(&format!("{manifest}{KEY}")), (2, 1, true));
    assert_eq!(cut(&format!("{manifest}{{ \"key\": \"a\" }}\n{}", end(1))), (3, 1, false));
    let endless = "x".repeat(usize::try_from(LINE_BYTES_MAX).expect("8 MiB") + 1);
    assert!(source(&endless).next(&mut Vec::new()).is_err());
}

#[test]
fn an_import_that_was_interrupted_goes_on_if_that_is_asked_for_and_the_file_is_the_same() {
    let folder = std::env::temp_dir().join(format!("steadfast-import-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary directory");
    let (path, kept_path) = (folder.join("f.ndjson"), folder.join("f.ndjson.import"));
    assert_eq!(super::kept_path(&path), kept_path);
    let into = |cluster: &str, lines, file_bytes| Kept {
        lines,
        file_bytes,
        cluster: Some(cluster.into()),
    };
    let begin_into = |cluster, resume, file_bytes| {
        let import = Import { file: "f".into(), resume, if_absent: false, partial: false };
        let now = into(cluster, 0, file_bytes);
        import.begin(&path, &kept_path, &now).map_err(|error| error.to_string())
    };
    let begin = |resume, file_bytes| begin_into("a", resume, file_bytes);
    assert_eq!(begin(false, 10), Ok(0));
    assert!(begin(true, 10).is_err_and(|why| why.contains("no import of it was interrupted")));
    write(&kept_path, &into("a", 7, 10)).expect("it can be written");
    assert_eq!(begin(true, 10), Ok(7));
    assert!(begin(true, 11).is_err_and(|why| why.contains("not as long")));
    assert!(begin_into("b", true, 10).is_err_and(|why| why.contains("another cluster")));
    assert!(begin(false, 10).is_err_and(|why| why.contains("after line 7")));
    fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn the_end_mark_of_a_file_is_found_behind_a_long_line_too() {
    let name = format!("steadfast-end-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let long = "k".repeat(10_000);
    for (text, expected) in [
        (format!("{long}\n{{\"end\":{{\"keys\":1}}}}\n"), true),
        (format!("{{\"end\":{{\"keys\":1}}}}\n{long}\n"), false),
        (String::new(), false),
    ] {
        fs::write(&path, &text).expect("a temporary file");
        let mut file = File::open(&path).expect("just written");
        assert_eq!(has_end(&mut file, text.len() as u64).expect("it can be read"), expected);
    }
    fs::remove_file(&path).expect("it is ours");
    bar(10, false).finish_and_clear();
}
