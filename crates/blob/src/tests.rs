use std::convert::Infallible;

use futures_util::{TryStreamExt as _, stream};

use super::*;

fn chunks(
    bytes: &[u8],
    size: usize,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + Unpin {
    let chunks: Vec<_> = bytes.chunks(size).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    stream::iter(chunks)
}

fn open() -> (tempfile::TempDir, Blob) {
    let dir = tempfile::tempdir().unwrap();
    let blob = Blob::folder(&dir.path().join("media")).unwrap();
    (dir, blob)
}

/// All files below the folder.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn small_and_large_come_back_whole_and_in_part() {
    let (_dir, blob) = open();
    for length in [0, 1, 1000, PART_BYTES - 1, PART_BYTES, 3 * PART_BYTES + 7] {
        let bytes: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let key = Key::random();
        let stored = blob.put(&key, chunks(&bytes, 70_001), 1 << 30).await.unwrap();
        assert_eq!(stored.bytes, length as u64);
        assert_eq!(stored.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
        assert!(blob.get_all(&key, length as u64).await.unwrap() == bytes, "{length}");
        if length > 10 {
            let part: Vec<Bytes> = blob
                .get(&key, Some(3..length as u64 - 2))
                .await
                .unwrap()
                .try_collect()
                .await
                .unwrap();
            assert!(part.concat() == bytes[3..length - 2], "{length}");
        }
    }
}

#[tokio::test]
async fn what_fails_leaves_nothing() {
    let (dir, blob) = open();
    let bytes = vec![7; 3 * PART_BYTES];
    let key = Key::random();
    let refused = blob.put(&key, chunks(&bytes, 4096), 2 * PART_BYTES as u64 + 1).await;
    assert!(matches!(refused, Err(BlobError::TooLarge { .. })), "{refused:?}");
    let broken = chunks(&bytes, 4096)
        .map_err(|never| match never {})
        .chain(stream::iter([Err("gone".to_owned())]));
    let refused = blob.put(&key, broken, u64::MAX).await;
    assert!(matches!(refused, Err(BlobError::Interrupted(_))), "{refused:?}");
    assert!(matches!(blob.get(&key, None).await, Err(BlobError::NotFound)));
    assert_eq!(files(dir.path()), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn a_deleted_blob_is_gone_and_so_is_a_half_written_one() {
    let (dir, blob) = open();
    let key = Key::random();
    blob.put(&key, chunks(b"bytes", 2), 100).await.unwrap();
    let [file] = files(dir.path()).try_into().unwrap();
    std::fs::write(format!("{}#1", file.display()), b"half").unwrap();
    blob.delete(&key).await.unwrap();
    assert_eq!(files(dir.path()), Vec::<std::path::PathBuf>::new());
    assert!(matches!(blob.get(&key, None).await, Err(BlobError::NotFound)));
    blob.delete(&key).await.unwrap();
    blob.delete(&Key::random()).await.unwrap();
}

#[tokio::test]
async fn more_than_asked_for_is_not_read_into_memory() {
    let (_dir, blob) = open();
    let key = Key::random();
    blob.put(&key, chunks(&[1; 5000], 5000), 5000).await.unwrap();
    assert!(matches!(blob.get_all(&key, 4999).await, Err(BlobError::TooLarge { .. })));
}
