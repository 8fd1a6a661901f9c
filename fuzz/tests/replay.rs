//! Runs every input that was kept through its target, without a fuzzer.

use std::fs;
use std::path::Path;

use b4ae_fuzz::TARGETS;

fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("a readable folder").path();
            (path.display().to_string(), fs::read(&path).expect("a readable file"))
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn every_input_that_was_kept_is_survived() {
    for (name, run) in TARGETS {
        let inputs = inputs(name);
        assert!(inputs.len() >= 10, "{name}: only {} inputs", inputs.len());
        let mut reached = 0;
        for (path, input) in &inputs {
            let survived = std::panic::catch_unwind(|| run(input));
            assert!(survived.is_ok(), "{name} does not survive {path}");
            reached += usize::from(survived.is_ok_and(|count| count > 0));
        }
        println!("{name}: {} inputs, {reached} of which come to what the target is about", inputs.len());
        assert!(reached > 0, "{name}: no input gets anywhere");
    }
}

#[test]
#[cfg(fuzzing)]
fn every_corpus_has_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut kept: Vec<_> = fs::read_dir(folder)
        .expect("a folder of corpora")
        .map(|entry| entry.expect("a readable folder").file_name().into_string().expect("a name in ASCII"))
        .collect();
    kept.sort();
    assert_eq!(kept, TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}
