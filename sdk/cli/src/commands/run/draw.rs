//! A result drawn on the picture that it is about, for people to look at.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};
use tilemark::{Image, Outcome, Picture, Quad};

type Colour = [u8; 3];

/// Colours of classes and labels, apart enough to tell; then they repeat.
const COLOURS: [Colour; 8] = [
    [230, 60, 50],
    [40, 140, 230],
    [60, 170, 70],
    [245, 150, 20],
    [150, 80, 200],
    [20, 170, 170],
    [220, 80, 160],
    [130, 110, 40],
];
/// Pixels of a character's cell.
const CELL: usize = 8;

/// The picture with masks, then regions, boxes and their points, then text over them.
pub(super) fn annotated(picture: &Image, outcome: &Outcome) -> Picture {
    let mut canvas = Canvas::new(picture);
    for mask in outcome.pictures.values() {
        canvas.mask(mask);
    }
    let mut labels: Vec<&str> = Vec::new();
    for found in outcome.detections.iter().flatten() {
        let known = labels.iter().position(|label| *label == found.label);
        let index = known.unwrap_or_else(|| {
            labels.push(&found.label);
            labels.len() - 1
        });
        let colour = COLOURS[index % COLOURS.len()];
        let [left, top, right, bottom] = found.frame;
        canvas.quad([[left, top], [right, top], [right, bottom], [left, bottom]], colour);
        found.points.iter().for_each(|&point| canvas.dot(point, colour));
        canvas.caption(&format!("{} {:.0}%", found.label, 100.0 * found.score), [left, top], colour);
    }
    for (region, colour) in outcome.regions.iter().flatten().zip(COLOURS.iter().cycle()) {
        canvas.quad(region.quad, *colour);
    }
    for (line, colour) in outcome.lines.iter().flatten().zip(COLOURS.iter().cycle()) {
        canvas.quad(line.quad, *colour);
        canvas.caption(&line.text, [line.frame[0], line.frame[1]], *colour);
    }
    for (i, label) in outcome.labels.iter().flatten().enumerate() {
        let row = (i * (CELL + 2) * canvas.text) as f32;
        let text = match label.score.is_nan() {
            true => label.name.clone(), // a grant that gives out no score
            false => format!("{:.1}% {}", 100.0 * label.score, label.name),
        };
        canvas.caption(&text, [0.0, row + ((CELL + 2) * canvas.text) as f32], COLOURS[i % COLOURS.len()]);
    }
    canvas.picture
}

struct Canvas {
    picture: Picture,
    /// Width of lines in pixels.
    pen: usize,
    /// Pixels of the picture for one of a character.
    text: usize,
}

impl Canvas {
    fn new(image: &Image) -> Self {
        let (width, height) = (image.width(), image.height());
        let picture = Picture { width, height, channels: 3, samples: image.pixels().to_vec() };
        let side = width.min(height) as usize;
        Self { picture, pen: (side / 240).max(1), text: (side / 320).max(1) }
    }

    fn pixel(&mut self, x: i64, y: i64) -> Option<&mut [u8]> {
        let (width, height) = (i64::from(self.picture.width), i64::from(self.picture.height));
        if !(0..width).contains(&x) || !(0..height).contains(&y) {
            return None;
        }
        let start = usize::try_from((y * width + x) * 3).ok()?;
        self.picture.samples.get_mut(start..start + 3)
    }

    fn fill(&mut self, x: i64, y: i64, width: usize, height: usize, colour: Colour) {
        for (dy, dx) in (0..height as i64).flat_map(|dy| (0..width as i64).map(move |dx| (dy, dx))) {
            if let Some(pixel) = self.pixel(x + dx, y + dy) {
                pixel.copy_from_slice(&colour);
            }
        }
    }

    /// A mask of one thing darkens what is outside; one of classes tints every class but the first.
    fn mask(&mut self, mask: &Picture) {
        let same = (mask.width, mask.height) == (self.picture.width, self.picture.height);
        if !same || mask.channels != 1 {
            return;
        }
        let one_thing = mask.samples.iter().all(|&class| class == 0 || class == 255);
        for (pixel, &class) in self.picture.samples.chunks_exact_mut(3).zip(&mask.samples) {
            match (one_thing, class) {
                (true, 0) => pixel.iter_mut().for_each(|sample| *sample /= 4),
                (true, _) | (false, 0) => {}
                (false, class) => {
                    let colour = COLOURS[usize::from(class - 1) % COLOURS.len()];
                    pixel.iter_mut().zip(colour).for_each(|(s, c)| *s = s.midpoint(c));
                }
            }
        }
    }

    fn quad(&mut self, quad: Quad, colour: Colour) {
        for i in 0..quad.len() {
            self.line(quad[i], quad[(i + 1) % quad.len()], colour);
        }
    }

    /// As many squares of the pen's width as the line is long.
    fn line(&mut self, from: [f32; 2], to: [f32; 2], colour: Colour) {
        let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
        let steps = dx.abs().max(dy.abs()).clamp(1.0, 65_536.0) as usize;
        for i in 0..=steps {
            let along = i as f32 / steps as f32;
            let half = (self.pen / 2) as i64;
            let (x, y) = ((from[0] + along * dx) as i64, (from[1] + along * dy) as i64);
            self.fill(x - half, y - half, self.pen, self.pen, colour);
        }
    }

    fn dot(&mut self, [x, y]: [f32; 2], colour: Colour) {
        let side = 2 * self.pen + 1;
        self.fill(x as i64 - self.pen as i64, y as i64 - self.pen as i64, side, side, colour);
    }

    /// White text on a coloured ground, whose lower left corner is at a position, but inside the picture at the top.
    fn caption(&mut self, text: &str, [left, bottom]: [f32; 2], colour: Colour) {
        let height = (CELL + 2) * self.text;
        let (x, y) = ((left as i64).max(0), (bottom as i64 - height as i64).max(0));
        // Longer text leaves the picture anyway.
        let room = self.picture.width as usize / (CELL * self.text) + 1;
        let shown: Vec<char> = text.chars().take(room).collect();
        self.fill(x, y, (shown.len() * CELL + 2) * self.text, height, colour);
        for (i, &character) in shown.iter().enumerate() {
            let cell = x + ((i * CELL + 1) * self.text) as i64;
            self.glyph(character, cell, y + self.text as i64);
        }
    }

    /// A character of the font, or a frame for one that it has not.
    fn glyph(&mut self, character: char, x: i64, y: i64) {
        const MISSING: [u8; CELL] = [0x7e, 0x42, 0x42, 0x42, 0x42, 0x42, 0x7e, 0];
        let rows = BASIC_FONTS.get(character).or_else(|| LATIN_FONTS.get(character)).unwrap_or(MISSING);
        for (row, bits) in rows.iter().enumerate() {
            for column in (0..CELL).filter(|column| bits >> column & 1 == 1) {
                let at = |cell: usize| (cell * self.text) as i64;
                self.fill(x + at(column), y + at(row), self.text, self.text, [255; 3]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilemark::Detection;

    fn found(frame: [f32; 4]) -> Outcome {
        let detection = Detection { label: "face".into(), score: 0.9, frame, points: vec![[30.0, 30.0]] };
        Outcome { detections: Some(vec![detection]), ..Outcome::default() }
    }

    #[test]
    fn a_box_is_drawn_where_it_is_and_nothing_elsewhere() {
        let image = Image::from_rgb(64, 64, vec![0; 64 * 64 * 3]).unwrap();
        let drawn = annotated(&image, &found([20.0, 24.0, 50.0, 60.0]));
        let at = |x: usize, y: usize| &drawn.samples[(y * 64 + x) * 3..][..3];
        for (x, y) in [(20, 40), (50, 40), (40, 60), (30, 30)] {
            assert_eq!(at(x, y), COLOURS[0], "{x} {y}");
        }
        for (x, y) in [(10, 40), (40, 50), (60, 60), (63, 63)] {
            assert_eq!(at(x, y), [0; 3], "{x} {y}");
        }
        let white = drawn.samples.chunks_exact(3).filter(|pixel| *pixel == [255; 3]).count();
        assert!(white > 40, "{white} pixels of text");
    }

    #[test]
    fn what_lies_outside_or_is_no_number_is_left_out() {
        let image = Image::from_rgb(8, 8, vec![9; 192]).unwrap();
        let wild = annotated(&image, &found([-1e9, f32::NAN, 1e9, f32::INFINITY]));
        assert_eq!(wild.samples.len(), 192);
    }

    #[test]
    fn a_mask_darkens_what_is_outside() {
        let image = Image::from_rgb(2, 1, vec![200; 6]).unwrap();
        let mask = Picture { width: 2, height: 1, channels: 1, samples: vec![255, 0] };
        let outcome = Outcome { pictures: [("mask".to_owned(), mask)].into(), ..Outcome::default() };
        assert_eq!(annotated(&image, &outcome).samples, [200, 200, 200, 50, 50, 50]);
    }
}
