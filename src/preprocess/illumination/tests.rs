use super::*;
use crate::frame::{FrameMeta, OwnedPixels, StreamId};
use std::time::Instant;

const SIZE: ImageSize = ImageSize { width: 96, height: 64 };

fn frame(millis: i64, pixel: impl Fn(usize) -> [u8; 3]) -> Frame {
    let count = (SIZE.width * SIZE.height) as usize;
    let meta = FrameMeta {
        stream: StreamId(0),
        epoch: 0,
        seq: 0,
        pts: MediaTime(millis * 1_000_000),
        captured: None,
        arrived: Instant::now(),
        size: SIZE,
    };
    let mut data = Vec::with_capacity(count * 3);
    (0..count).for_each(|index| data.extend_from_slice(&pixel(index)));
    Frame { meta, pixels: Arc::new(OwnedPixels { data, stride: SIZE.width as usize * 3 }) }
}

/// A lively coloured picture whose values run over `levels` from `black` on.
fn picture(millis: i64, black: f32, levels: f32) -> Frame {
    let shown: [u8; 256] = std::array::from_fn(|value| (black + levels * value as f32 / 255.0).clamp(0.0, 255.0) as u8);
    frame(millis, |index| {
        let value = |salt: usize| ((index * 2_654_435_761 * (2 * salt + 1)) >> 9) % 256;
        [shown[value(1)], shown[value(2)], shown[value(3)]]
    })
}

fn steps(before: &Light, after: &Light) -> i16 {
    let levels = (0..3).flat_map(|colour| (0..=255).map(move |level| (colour, level)));
    let moved = |(colour, level)| i16::from(after.level(colour, level)) - i16::from(before.level(colour, level));
    levels.map(|at| moved(at).abs()).max().unwrap_or(0)
}

/// Plays a light over time at 10 Hz; gives the largest step of a table between frames and the changes told.
fn play(
    illumination: &mut Illumination,
    frames: std::ops::Range<i64>,
    light: impl Fn(i64) -> (f32, f32),
) -> (i16, Vec<LightChange>) {
    let (mut largest, mut told) = (0, Vec::new());
    for index in frames {
        let before = Arc::clone(illumination.light());
        let (black, levels) = light(index);
        told.extend(illumination.observe(&mut picture(index * 100, black, levels)));
        largest = largest.max(steps(&before, illumination.light()));
    }
    (largest, told)
}

fn auto() -> Illumination {
    Illumination::new(&LightSettings::Auto).expect("does something")
}

#[test]
fn usual_light_is_left_exactly_as_it_is() {
    let mut illumination = auto();
    for index in 0..50 {
        let mut picture = picture(index * 100, 10.0 + (index % 7) as f32, 235.0);
        assert_eq!(illumination.observe(&mut picture), None);
        assert!(picture.pixels.light().is_none() && illumination.light().is_identity());
    }
}

#[test]
fn light_that_fades_is_followed_in_small_steps_and_told_once_each_way() {
    let mut illumination = auto();
    // From daylight to a tenth within a minute, half a minute there, and back.
    let fade = |index: i64| 1.0 - 0.9 * (index as f32 / 600.0).clamp(0.0, 1.0);
    let (largest, told) = play(&mut illumination, 0..900, |index| (0.0, 250.0 * fade(index)));
    let told: Vec<_> = told.iter().map(|change| (change.was, change.now)).collect();
    assert_eq!(told, [(LightState::Normal, LightState::Flat), (LightState::Flat, LightState::Dark)]);
    // MAX_SPEED is 6.4 levels in a tenth of a second; bytes round.
    assert!((1..=7).contains(&largest), "{largest}");
    let lit = illumination.light().level(0, 25);
    assert!(lit > 200, "white at a tenth becomes {lit}");
    let (largest, told) = play(&mut illumination, 900..1700, |index| (0.0, 250.0 * fade(1500 - index)));
    assert!((1..=7).contains(&largest), "{largest}");
    assert_eq!(told.last().map(|change| change.now), Some(LightState::Normal));
    assert!(illumination.light().is_identity(), "nothing is left of the correction");
}

#[test]
fn steady_light_gives_the_same_table_for_ever() {
    let mut illumination = auto();
    play(&mut illumination, 0..30, |_| (100.0, 60.0));
    let light = Arc::clone(illumination.light());
    assert!(!light.is_identity());
    // Flicker of a lamp, two levels up and down, changes nothing.
    let (largest, told) = play(&mut illumination, 30..200, |index| (100.0 + 2.0 * (index % 2) as f32, 60.0));
    assert_eq!((largest, told), (0, vec![]));
    assert!(Arc::ptr_eq(&light, illumination.light()), "not even made anew");
}

#[test]
fn a_flash_is_ignored_and_a_switch_followed_within_half_a_second() {
    let mut illumination = auto();
    play(&mut illumination, 0..20, |_| (5.0, 240.0));
    let (_, told) = play(&mut illumination, 20..21, |_| (230.0, 25.0));
    assert!(told.is_empty() && illumination.light().is_identity(), "a flash");
    play(&mut illumination, 21..40, |_| (5.0, 240.0));
    // The camera goes to infrared: grey and dim.
    let mut told = Vec::new();
    for index in 40..45 {
        told.extend(illumination.observe(&mut frame(index * 100, |index| [(index * 7 % 60) as u8; 3])));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].was, told[0].now), (LightState::Normal, LightState::Monochrome));
    assert!(told[0].gain > 3.0, "{:?}", told[0]);
    assert!(illumination.light().level(1, 58) > 200, "followed");
    let (_, told) = play(&mut illumination, 45..50, |_| (5.0, 240.0));
    assert_eq!(told.len(), 1);
    assert!(illumination.light().is_identity(), "back to day");
}

#[test]
fn the_same_frames_give_the_same_lights() {
    let run = || {
        let mut illumination = auto();
        let lights = (0..60).map(|index| {
            illumination.observe(&mut picture(index * 100, 60.0 + index as f32, 80.0));
            Arc::clone(illumination.light())
        });
        lights.collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn pictures_without_pixels_change_nothing() {
    let mut illumination = auto();
    let mut short = picture(0, 0.0, 20.0);
    short.pixels = Arc::new(OwnedPixels { data: vec![0; 30], stride: SIZE.width as usize * 3 });
    assert_eq!(illumination.observe(&mut short), None);
    short.meta.size = ImageSize { width: 0, height: 0 };
    assert_eq!(illumination.observe(&mut short), None);
    assert!(illumination.light().is_identity());
    assert!(Illumination::new(&LightSettings::Off).is_none());
    assert!(Illumination::new(&LightSettings::Always(vec![])).is_none());
}

/// The pixels of a frame lit up whole.
fn lit(frame: &Frame) -> Vec<u8> {
    let mut pixels = frame.pixels.plane(0).data.to_vec();
    let whole = Region { left: 0, top: 0, size: SIZE };
    if let Some(light) = frame.pixels.light() {
        light.apply(&mut pixels, SIZE, whole, whole);
    }
    pixels
}

#[test]
fn each_correction_alone_does_its_own() {
    let mean = |pixels: &[u8], colour: usize| {
        pixels.iter().skip(colour).step_by(3).map(|&v| f64::from(v)).sum::<f64>() / (pixels.len() / 3) as f64
    };
    let run = |correction, frame: &Frame| {
        let mut frame = frame.clone();
        Illumination::new(&LightSettings::Always(vec![correction])).expect("one").observe(&mut frame);
        lit(&frame)
    };
    let flat = picture(0, 100.0, 50.0);
    let stretched = run(Correction::Stretch, &flat);
    assert!(stretched.contains(&0) && stretched.contains(&255));
    let brightened = run(Correction::Gamma, &picture(0, 0.0, 60.0));
    assert!((90.0..125.0).contains(&mean(&brightened, 0)), "{}", mean(&brightened, 0));
    let tinted = frame(0, |index| [(index % 200) as u8, (index % 100) as u8, (index % 150) as u8]);
    let balanced = run(Correction::WhiteBalance, &tinted);
    let means = [0, 1, 2].map(|colour| mean(&balanced, colour));
    assert!(means.iter().all(|m| (m - means[0]).abs() < 4.0), "{means:?}");
    let equalized = run(Correction::Clahe, &flat);
    let spread = |pixels: &[u8]| pixels.iter().max().unwrap() - pixels.iter().min().unwrap();
    assert!(spread(&equalized) > spread(&lit(&flat)) + 20);
}

#[test]
fn a_part_is_lit_as_it_is_in_the_whole() {
    let mut picture = frame(0, |index| {
        let (x, y) = (index % 96, index / 96);
        [(x + y) as u8 / 2 + 40, (x * 2) as u8 / 3 + 30, y as u8 + 20]
    });
    let settings = LightSettings::Always(vec![Correction::Stretch, Correction::Clahe]);
    Illumination::new(&settings).expect("two").observe(&mut picture);
    let whole = lit(&picture);
    let part = Region { left: 30, top: 20, size: ImageSize { width: 40, height: 30 } };
    let row =
        |pixels: &[u8], width: usize, x: usize, y: usize, n: usize| pixels[(y * width + x) * 3..][..n * 3].to_vec();
    let plain = picture.pixels.plane(0).data;
    let mut cut: Vec<u8> = (0..30).flat_map(|y| row(plain, 96, 30, 20 + y, 40)).collect();
    let canvas = Region { left: 0, top: 0, size: part.size };
    picture.pixels.light().expect("lit").apply(&mut cut, part.size, canvas, part);
    let expected: Vec<u8> = (0..30).flat_map(|y| row(&whole, 96, 30, 20 + y, 40)).collect();
    assert_eq!(cut, expected);
}

#[test]
fn nothing_outside_the_region_changes() {
    let mut picture = picture(0, 100.0, 40.0);
    auto().observe(&mut picture);
    let mut canvas = vec![77u8; (SIZE.width * SIZE.height * 3) as usize];
    let region = Region { left: 10, top: 5, size: ImageSize { width: 20, height: 10 } };
    picture.pixels.light().expect("flat").apply(&mut canvas, SIZE, region, region);
    let inside = |index: usize| {
        let (x, y) = (index / 3 % 96, index / 3 / 96);
        (10..30).contains(&x) && (5..15).contains(&y)
    };
    assert!(canvas.iter().enumerate().all(|(index, &v)| (v != 77) == inside(index)));
}
