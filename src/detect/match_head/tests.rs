use super::*;

const INPUT: ImageSize = ImageSize { width: 64, height: 64 };
/// Cells of 8, 16 and 32 pixels.
const CELLS: usize = 64 + 16 + 4;

/// What an output holds.
#[derive(Clone, Copy)]
enum Fill {
    /// Probabilities.
    Shares,
    /// Logits.
    Logits,
    /// The first so many numbers of a row are pixels, the rest probabilities.
    PixelsThenShares(usize),
    /// The first so many are probabilities, the rest logits.
    SharesThenLogits(usize),
}

fn values(shape: &[usize], fill: Fill) -> Vec<f32> {
    let columns = *shape.last().unwrap();
    let value = |index: usize| {
        let (column, share) = (index % columns, (index * 37 % 100) as f32 / 100.0);
        match fill {
            Fill::Shares => share,
            Fill::Logits => share * 8.0 - 5.0,
            Fill::PixelsThenShares(pixels) if column < pixels => 10.0 + 44.0 * share,
            Fill::SharesThenLogits(shares) if column >= shares => share * 8.0 - 5.0,
            _ => share,
        }
    };
    (0..shape.iter().product()).map(value).collect()
}

/// What is chosen for outputs of these shapes, as family, order of the outputs and expected shapes.
fn chosen(shapes: &[(&[usize], Fill)], classes: Option<usize>, spec: Option<&HeadSpec>) -> Result<String, String> {
    let held: Vec<_> = shapes.iter().map(|(shape, fill)| values(shape, *fill)).collect();
    let outputs: Vec<_> =
        shapes.iter().zip(&held).map(|((shape, _), values)| Output::new(shape, values).unwrap()).collect();
    let choice = choose(&Facts { outputs: &outputs, input: INPUT, spec, classes, varies: true, priors: None })?;
    let picked: Vec<&[usize]> = choice.outputs.iter().map(|&index| outputs[index].shape).collect();
    assert!(choice.head.fits(&picked), "{choice:?} does not fit {picked:?}");
    assert!(!choice.reason.is_empty());
    Ok(format!("{} {:?} {}", choice.head.family(), choice.outputs, choice.head.classes()))
}

#[test]
fn shapes_tell_the_family() {
    use Fill::*;
    type Case<'a> = (&'a [(&'a [usize], Fill)], Option<usize>, &'a str);
    let cases: [Case<'_>; 21] = [
        (&[(&[4, 4, 85], Shares)], None, "fastestdet [0] 80"),
        (&[(&[3 * CELLS, 85], PixelsThenShares(4))], None, "yolov5 [0] 80"),
        (&[(&[3 * CELLS, 7], PixelsThenShares(4))], Some(2), "yolov5 [0] 2"),
        (&[(&[3, 2, 2, 85], Logits), (&[3, 8, 8, 85], Logits), (&[3, 4, 4, 85], Logits)], None, "yolov5 [1, 2, 0] 80"),
        (&[(&[8, 8, 255], Logits), (&[4, 4, 255], Logits), (&[2, 2, 255], Logits)], None, "yolov5 [0, 1, 2] 80"),
        (&[(&[8, 8, 144], Logits), (&[4, 4, 144], Logits), (&[2, 2, 144], Logits)], None, "yolov8 [0, 1, 2] 80"),
        (&[(&[84, CELLS], Logits)], None, "yolov8 [0] 80"),
        (&[(&[CELLS, 84], PixelsThenShares(4))], Some(80), "yolov8 [0] 80"),
        (&[(&[116, CELLS], Logits), (&[16, 16, 32], Logits)], Some(80), "yolov8 [0] 80"),
        (&[(&[CELLS, 4], PixelsThenShares(4)), (&[CELLS, 80], Shares)], None, "yolov8 [0, 1] 80"),
        (&[(&[CELLS, 85], PixelsThenShares(4))], None, "yolox [0] 80"),
        (&[(&[CELLS, 7], Shares)], Some(2), "yolox [0] 2"),
        (&[(&[CELLS, 112], SharesThenLogits(80))], None, "nanodet [0] 80"),
        (&[(&[CELLS, 34], SharesThenLogits(2))], Some(2), "nanodet [0] 2"),
        (
            &[
                (&[64, 80], Shares),
                (&[16, 80], Shares),
                (&[4, 80], Shares),
                (&[64, 32], Logits),
                (&[16, 32], Logits),
                (&[4, 32], Logits),
            ],
            None,
            "nanodet [0, 1, 2, 3, 4, 5] 80",
        ),
        (&[(&[300, 6], PixelsThenShares(4))], None, "end_to_end [0] 80"),
        (&[(&[300, 6], SharesThenLogits(5))], None, "end_to_end [0] 80"),
        (&[(&[300, 4], Shares), (&[300, 80], Logits)], None, "end_to_end [1, 0] 80"),
        // 84 numbers would also be the cells of this input.
        (&[(&[300, 44], Shares)], None, "end_to_end [0] 40"),
        (&[(&[100, 4], PixelsThenShares(4)), (&[100], Logits), (&[100], Shares)], None, "torchvision [0, 1, 2] 91"),
        (&[(&[4 * 4 * 3 + (4 + 1 + 1 + 1 + 1) * 6, 4], Logits), (&[96, 91], Shares)], None, "ssd [0, 1] 91"),
    ];
    for (shapes, classes, expected) in cases {
        let names: Vec<_> = shapes.iter().map(|(shape, _)| shape_text(shape)).collect();
        assert_eq!(chosen(shapes, classes, None).as_deref(), Ok(expected), "{names:?}");
    }
}

#[test]
fn networks_that_give_shares_are_fed_stretched() {
    let fit = |shapes: &[(&[usize], Fill)]| {
        let held: Vec<_> = shapes.iter().map(|(shape, fill)| values(shape, *fill)).collect();
        let outputs: Vec<_> = shapes.iter().zip(&held).map(|((shape, _), v)| Output::new(shape, v).unwrap()).collect();
        let facts = Facts { outputs: &outputs, input: INPUT, spec: None, classes: None, varies: false, priors: None };
        choose(&facts).unwrap().fit
    };
    assert_eq!(fit(&[(&[300, 4], Fill::Shares), (&[300, 80], Fill::Logits)]), Some(Fit::Stretch));
    assert_eq!(fit(&[(&[300, 6], Fill::SharesThenLogits(5))]), Some(Fit::Stretch));
    assert_eq!(fit(&[(&[300, 44], Fill::Shares)]), Some(Fit::Stretch));
    assert_eq!(fit(&[(&[300, 6], Fill::PixelsThenShares(4))]), None);
}

#[test]
fn a_spec_overrules_the_shapes() {
    let spec = HeadSpec::Yolov5 { anchors: None };
    assert_eq!(chosen(&[(&[500, 9], Fill::Shares)], None, Some(&spec)).as_deref(), Ok("yolov5 [0] 4"));
    let error = chosen(&[(&[84, CELLS], Fill::Logits)], None, Some(&HeadSpec::EndToEnd {})).unwrap_err();
    assert_eq!(error, "outputs (84, 84) for an input of 64x64 do not fit a head of the family end_to_end");
}

#[test]
fn what_fits_no_head_is_told_by_its_shapes() {
    let error = chosen(&[(&[1000], Fill::Logits)], None, None).unwrap_err();
    assert!(error.starts_with("outputs (1000) for an input of 64x64 fit no head; say which"), "{error}");
    assert!(chosen(&[], None, None).is_err());
    assert!(chosen(&[(&[0, 4], Fill::Shares), (&[0, 80], Fill::Shares)], None, None).is_err());
}

#[test]
fn any_shapes_are_chosen_from_without_a_panic() {
    let mut state = 7u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % below) as usize
    };
    const SIZES: [usize; 14] = [0, 1, 2, 3, 4, 6, 8, 16, 64, 84, 85, 3 * CELLS, 80, 255];
    for _ in 0..5000 {
        let shapes: Vec<Vec<usize>> = (0..draw(7)).map(|_| (0..draw(4)).map(|_| SIZES[draw(14)]).collect()).collect();
        let held: Vec<Vec<f32>> = shapes.iter().map(|shape| vec![0.5; shape.iter().product()]).collect();
        let outputs: Vec<_> = shapes.iter().zip(&held).map(|(shape, v)| Output::new(shape, v).unwrap()).collect();
        let classes = [None, Some(80), Some(0), Some(2)][draw(4)];
        let facts = Facts { outputs: &outputs, input: INPUT, spec: None, classes, varies: false, priors: None };
        if let Ok(choice) = choose(&facts) {
            let picked: Vec<&[usize]> = choice.outputs.iter().map(|&index| outputs[index].shape).collect();
            assert!(choice.head.fits(&picked), "{choice:?} of {shapes:?}");
        }
    }
}
