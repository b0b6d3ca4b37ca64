//! Pictures that look like pictures: gradients, drawn for each path.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use super::fake_telegram::Answer;

/// Width and height of every picture, in pixels.
const PICTURE_SIZE: (u32, u32) = (400, 300);

/// Returns a PNG file with a gradient whose colours depend on the path.
pub(crate) fn picture(path: &str) -> Answer {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    let [red, green, blue, to_red, to_green, to_blue, ..] = hasher.finish().to_le_bytes();
    let (width, height) = PICTURE_SIZE;
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::fast());
    for y in 0..height {
        let mix = |from: u8, to: u8| {
            ((u32::from(from) * (height - y) + u32::from(to) * y) / height).to_le_bytes()[0]
        };
        let row = [mix(red, to_red), mix(green, to_green), mix(blue, to_blue)].repeat(width as usize);
        pixels.write_all(&[0]).unwrap();
        pixels.write_all(&row).unwrap();
    }
    let mut header = [width, height].map(u32::to_be_bytes).concat();
    // 8 bits per channel, RGB, default compression and filter, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", pixels.finish().unwrap()), (b"IEND", Vec::new())] {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(&data);
        png.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        png.extend(kind);
        png.extend(data);
        png.extend(crc.sum().to_be_bytes());
    }
    Answer { body: png, ..Answer::status(200) }.with("Content-Type", "image/png")
}
