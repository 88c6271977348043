//! The lamp's pixels, in every size a panel asks for, with the count in the upper right corner, where the lamp is not.

use std::ops::Range;
use std::sync::LazyLock;

use tauri::image::Image;

use crate::board::Lamp;

/// What the lamp is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// A dark panel: the lamp is light.
    Dark,
    /// A light panel: the lamp is dark.
    Light,
}

/// One drawing: straight RGBA, four bytes a pixel, rows from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Edge length.
    pub size: usize,
    /// `size * size * 4` bytes.
    pub rgba: Vec<u8>,
}

/// Returns the lamp in all sizes, smallest first. No number is drawn for 0, a plus for more than 9.
pub fn lamp(lamp: Lamp, panel: Panel, count: usize) -> Vec<Pixels> {
    let drawings: &[Pixels] = match (lamp, panel) {
        (Lamp::Quiet, Panel::Dark) => &*QUIET_ON_DARK,
        (Lamp::Quiet, Panel::Light) => &*QUIET_ON_LIGHT,
        (Lamp::Working, Panel::Dark) => &*WORKING_ON_DARK,
        (Lamp::Working, Panel::Light) => &*WORKING_ON_LIGHT,
        (Lamp::NeedsYou, Panel::Dark) => &*NEEDS_ON_DARK,
        (Lamp::NeedsYou, Panel::Light) => &*NEEDS_ON_LIGHT,
    };
    // The colour of the lamp's light, so that the number does not look like a piece of its shade.
    let ink = match panel {
        Panel::Dark => [0xff, 0xb2, 0x3f, 0xff],
        Panel::Light => [0x9a, 0x4f, 0x00, 0xff],
    };
    drawings
        .iter()
        .map(|drawing| glyph(count).map_or_else(|| drawing.clone(), |glyph| with_glyph(drawing, glyph, ink)))
        .collect()
}

macro_rules! drawings {
    ($($name:ident = $file:literal),+ $(,)?) => { $(
        static $name: LazyLock<[Pixels; 5]> = LazyLock::new(|| [
            drawing!($file, "-16.png"),
            drawing!($file, "-22.png"),
            drawing!($file, "-24.png"),
            drawing!($file, "-32.png"),
            drawing!($file, "-48.png"),
        ]);
    )+ };
}
macro_rules! drawing {
    ($file:literal, $size:literal) => {
        decode(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/icons/tray/", $file, $size)))
    };
}
drawings! {
    QUIET_ON_DARK = "quiet-on-dark",
    QUIET_ON_LIGHT = "quiet-on-light",
    WORKING_ON_DARK = "working-on-dark",
    WORKING_ON_LIGHT = "working-on-light",
    NEEDS_ON_DARK = "needs-on-dark",
    NEEDS_ON_LIGHT = "needs-on-light",
}

fn decode(png: &[u8]) -> Pixels {
    let image = Image::from_bytes(png).expect("BUG: icons are PNG files of this repository");
    Pixels {
        size: usize::try_from(image.width()).expect("BUG: an icon's width fits"),
        rgba: image.rgba().to_vec(),
    }
}

/// Three columns by five rows, a row in the low three bits, the left column highest.
type Glyph = [u8; 5];

const DIGITS: [Glyph; 10] = [
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b010, 0b110, 0b010, 0b010, 0b111],
    [0b111, 0b001, 0b111, 0b100, 0b111],
    [0b111, 0b001, 0b011, 0b001, 0b111],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b111, 0b001, 0b111],
    [0b111, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b010, 0b010, 0b010],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b111],
];
const MANY: Glyph = [0b000, 0b010, 0b111, 0b010, 0b000];
const GLYPH_WIDTH: usize = 3;

fn glyph(count: usize) -> Option<Glyph> {
    if count == 0 { None } else { Some(DIGITS.get(count).copied().unwrap_or(MANY)) }
}

/// Writes the glyph into the corner, with a clear seam around it, so that no part of the shade runs into it.
fn with_glyph(drawing: &Pixels, glyph: Glyph, ink: [u8; 4]) -> Pixels {
    let Pixels { size, mut rgba } = drawing.clone();
    // At 16 px the glyph is 3 by 5; from 22 px on it is doubled, at 48 px four times as large: nearly half the height.
    let scale = if size < 22 {
        1
    } else if size < 48 {
        2
    } else {
        4
    };
    let Some(left) = size.checked_sub(GLYPH_WIDTH * scale) else { return drawing.clone() };
    let dots = glyph.into_iter().enumerate().flat_map(|(row, bits)| {
        (0..GLYPH_WIDTH).filter(move |column| bits & (0b100 >> column) != 0).map(move |column| (column, row))
    });
    let lit: Vec<(usize, usize)> = dots.map(|(column, row)| (left + column * scale, row * scale)).collect();
    let mut fill = |xs: Range<usize>, ys: Range<usize>, colour: [u8; 4]| {
        for (x, y) in ys.flat_map(|y| xs.clone().map(move |x| (x, y))).filter(|(x, y)| *x < size && *y < size)
        {
            if let Some(pixel) = rgba.get_mut((y * size + x) * 4..).and_then(|rest| rest.get_mut(..4)) {
                pixel.copy_from_slice(&colour);
            }
        }
    };
    for &(x, y) in &lit {
        fill(x.saturating_sub(1)..x + scale + 1, y.saturating_sub(1)..y + scale + 1, [0; 4]);
    }
    for &(x, y) in &lit {
        fill(x..x + scale, y..y + scale, ink);
    }
    Pixels { size, rgba }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lamp_has_its_pixels_in_every_size() {
        for shape in [Lamp::Quiet, Lamp::Working, Lamp::NeedsYou] {
            for panel in [Panel::Dark, Panel::Light] {
                let sizes: Vec<usize> = lamp(shape, panel, 0).iter().map(|p| p.size).collect();
                assert_eq!(sizes, [16, 22, 24, 32, 48]);
                assert!(lamp(shape, panel, 3).iter().all(|p| p.rgba.len() == p.size * p.size * 4));
            }
        }
    }

    #[test]
    fn each_count_up_to_nine_looks_different_and_more_share_a_plus() {
        let drawn = |count| lamp(Lamp::NeedsYou, Panel::Dark, count);
        for count in 0..=9 {
            assert_ne!(drawn(count), drawn(count + 1), "{count} and {}", count + 1);
        }
        assert_eq!(drawn(10), drawn(120));
    }
}
