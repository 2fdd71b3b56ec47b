//! Cost of illumination normalization: measuring a frame, and applying a light to what was letterboxed, beside the
//! letterbox itself. Both are paid once a frame, the second only while the light is far from daylight.

#[cfg(feature = "opencv")]
mod with_pixels {
    use criterion::{BenchmarkId, Criterion};
    use eyeline::{
        frame::{Frame, ImageSize},
        preprocess::{
            illumination::{Correction, Illumination, LightSettings},
            letterbox::LetterBoxer,
        },
    };
    use std::hint::black_box;

    /// A dim picture, in which `auto` stretches.
    fn frame(size: ImageSize) -> Frame {
        // Rows padded to 4 bytes, as GStreamer delivers them.
        let stride = (size.width as usize * 3).next_multiple_of(4);
        let data = (0..stride * size.height as usize).map(|i| (i * 31 % 29) as u8).collect();
        Frame::alone(size, data, stride)
    }

    pub fn bench(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("light");
        let model = ImageSize { width: 416, height: 416 };
        for size in [ImageSize { width: 768, height: 576 }, ImageSize { width: 1920, height: 1080 }] {
            let plain = frame(size);
            let mut boxer = LetterBoxer::new(model, 114);
            let id = |what: &str| BenchmarkId::new(what, size);
            group.bench_function(id("letterbox to 416, as it is"), |bencher| {
                bencher.iter(|| boxer.draw(0, black_box(&plain)));
            });
            for (name, settings) in [
                ("auto (a table)", LightSettings::Auto),
                ("clahe (a grid of curves)", LightSettings::Always(vec![Correction::Clahe])),
            ] {
                let mut illumination = Illumination::new(&settings).expect("does something");
                let mut lit = plain.clone();
                illumination.observe(&mut lit);
                group.bench_function(id(&format!("letterbox to 416, {name}")), |bencher| {
                    bencher.iter(|| boxer.draw(0, black_box(&lit)));
                });
                group.bench_function(id(&format!("measure, {name}")), |bencher| {
                    bencher.iter(|| illumination.observe(&mut plain.clone()));
                });
            }
        }
        group.finish();
    }
}

#[cfg(feature = "opencv")]
criterion::criterion_group!(benches, with_pixels::bench);
#[cfg(feature = "opencv")]
criterion::criterion_main!(benches);

#[cfg(not(feature = "opencv"))]
fn main() {
    eprintln!("needs the feature opencv");
}
