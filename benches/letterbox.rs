//! Time of bringing one frame to a network's input: letterbox, then floats in channels_last order.

#[cfg(all(feature = "torch", feature = "opencv"))]
mod with_pixels {
    use criterion::{BenchmarkId, Criterion};
    use eyeline::{
        config::zoo::InputSpec,
        frame::{Frame, ImageSize},
        preprocess::{letterbox::LetterBoxer, normalize::Normalize},
    };
    use std::hint::black_box;
    use tch::Device;

    fn frame(width: u32, height: u32) -> Frame {
        // Rows padded to 4 bytes, as GStreamer delivers them.
        let stride = (width as usize * 3).next_multiple_of(4);
        let data = (0..stride * height as usize).map(|i| (i * 31 % 251) as u8).collect();
        Frame::alone(ImageSize { width, height }, data, stride)
    }

    pub fn bench(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("letterbox");
        for (width, height) in [(768, 576), (1920, 1080)] {
            let picture = frame(width, height);
            for side in [416, 608] {
                let name = format!("{width}x{height} to {side}");
                let mut boxer = LetterBoxer::new(ImageSize { width: side, height: side }, 128);
                group.bench_function(BenchmarkId::new("resize", &name), |bencher| {
                    bencher.iter(|| boxer.draw(0, black_box(&picture)));
                });
                let normalize = Normalize::new(&InputSpec::plain(ImageSize { width: side, height: side }), Device::Cpu)
                    .expect("three numbers");
                let pixels = boxer.batch(1).to_vec();
                group.bench_function(BenchmarkId::new("floats", &name), |bencher| {
                    bencher.iter(|| normalize.batch(black_box(&pixels), 1, side, side));
                });
            }
        }
        group.finish();
    }
}

#[cfg(all(feature = "torch", feature = "opencv"))]
criterion::criterion_group!(benches, with_pixels::bench);
#[cfg(all(feature = "torch", feature = "opencv"))]
criterion::criterion_main!(benches);

#[cfg(not(all(feature = "torch", feature = "opencv")))]
fn main() {
    eprintln!("needs the features torch and opencv");
}
