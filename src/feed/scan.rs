//! A fast search for characters that few texts have.

/// Returns whether this holds for a byte of the text and the byte after it (a space after the last one). The compiler makes
/// SIMD code of comparisons, which is several times faster than decoding characters.
pub(super) fn any_pair(text: &str, condition: impl Fn(u8, u8) -> bool) -> bool {
    const CHUNK: usize = 64;
    let Some((last, others)) = text.as_bytes().split_last() else { return false };
    let next = &text.as_bytes()[1..];
    let mut chunks = others.chunks(CHUNK).zip(next.chunks(CHUNK));
    // Within a chunk, an early end would be a branch.
    let in_chunk = |(bytes, next): (&[u8], &[u8])| {
        bytes.iter().zip(next).fold(false, |found, (byte, next)| found | condition(*byte, *next))
    };
    chunks.any(in_chunk) || condition(*last, b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_a_text_is_checked() {
        for n in [0, 1, 62, 63, 64, 65, 127, 128, 200] {
            let text = format!("{}é", "x".repeat(n));
            assert!(any_pair(&text, |byte, next| byte == 0xc3 && next == 0xa9), "{n}");
            assert!(any_pair(&text, |byte, next| byte == 0xa9 && next == b' '), "{n}");
            assert!(!any_pair(&text, |byte, next| byte == b' ' || next == b'y'), "{n}");
        }
        assert!(!any_pair("", |_, _| true));
    }
}
