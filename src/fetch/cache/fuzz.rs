//! What fuzzing asks of this room; see `crate::fuzzing`.

use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::{
    disk::{FORM, pack, unpack},
    entry::Question,
};

const URL: &str = "http://a.test/";

/// A file of the cache, as it is and as the form and the digest around what a file says (behind two
/// bytes that are the length of its head): what is read serves without trouble at any time, and is
/// the same when it was written again.
pub(crate) fn stored(data: &[u8]) {
    used(data.to_vec());
    let Some((length, said)) = data.split_first_chunk::<2>() else {
        return;
    };
    let length = u32::from(u16::from_be_bytes(*length));
    let mut file = FORM.to_vec();
    file.extend(length.to_be_bytes());
    file.extend_from_slice(said);
    file.extend_from_slice(&Sha256::digest(&file));
    used(file);
}

fn used(file: Vec<u8>) {
    let length = file.len();
    let Some(entry) = unpack(file, URL) else {
        return;
    };
    assert!(entry.body.len() <= length);
    let questions = [
        entry.question.clone(),
        Question::new(entry.question.uri().clone(), http::HeaderMap::new()),
    ];
    let day = Duration::from_secs(24 * 3600);
    for now in [
        SystemTime::UNIX_EPOCH,
        entry.asked,
        SystemTime::now(),
        SystemTime::now() + 100_000 * day,
    ] {
        for question in &questions {
            let _ = entry.serves(question, None, now);
            let _ = entry.serves(question, Some(day), now);
            let _ = entry.refreshed(question, &entry.headers, now);
            let _ = entry.is_like(question);
        }
        let (answer, _) = entry.answer(now);
        assert_eq!(answer.body, entry.body);
    }
    assert!(entry.weight() >= entry.body.len() as u64);
    let again = pack(&entry).ok().and_then(|file| unpack(file, URL));
    let Some(again) = again else {
        panic!("what was read cannot be written and read again");
    };
    assert_eq!(again.headers, entry.headers);
    assert_eq!(again.question.headers(), entry.question.headers());
    assert_eq!(again.body, entry.body);
    assert_eq!(
        (again.status, again.version, again.asked),
        (entry.status, entry.version, entry.asked)
    );
}
