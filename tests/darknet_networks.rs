//! Darknet networks beyond the default one: every kind of layer against OpenCV's results, and the published networks of
//! the family, recognised by the exact length of their weights.

use eyeline::torch::darknet::{
    cfg::{Cfg, LayerKind},
    weights::{self, WeightsError},
};

/// Text of a cfg that grows section by section.
struct Text(String);

impl Text {
    fn new(side: usize) -> Self {
        Self(format!("[net]\nwidth={side}\nheight={side}\nchannels=3\nlearning_rate=0.001\n"))
    }

    fn section(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self.0.push('\n');
        self
    }

    fn conv(&mut self, filters: usize, size: usize, stride: usize, activation: &str) -> &mut Self {
        let normalize = u8::from(activation != "linear");
        self.section(&format!(
            "[convolutional]\nbatch_normalize={normalize}\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\n\
             activation={activation}"
        ))
    }

    fn route(&mut self, layers: &str) -> &mut Self {
        self.section(&format!("[route]\nlayers={layers}"))
    }

    /// The last convolution and the head of three anchors of COCO's classes.
    fn head(&mut self) -> &mut Self {
        self.conv(255, 1, 1, "linear");
        self.section("[yolo]\nmask=0,1,2\nanchors=10,13, 16,30, 33,23\nclasses=80\nnum=3\nbeta_nms=0.6\nmax_delta=5")
    }

    /// Alternating 1x1 and 3x3 convolutions of `filters` and twice as many.
    fn pairs(&mut self, count: usize, filters: usize) -> &mut Self {
        (0..count).for_each(|_| {
            self.conv(filters, 1, 1, "leaky").conv(2 * filters, 3, 1, "leaky");
        });
        self
    }

    fn residual(&mut self, narrow: usize, wide: usize, activation: &str) -> &mut Self {
        self.conv(narrow, 1, 1, activation).conv(wide, 3, 1, activation);
        self.section("[shortcut]\nfrom=-3\nactivation=linear")
    }
}

/// Source: Redmon & Farhadi 2018, table 1 and section 2.3.
fn yolov3() -> String {
    let mut text = Text::new(416);
    text.conv(32, 3, 1, "leaky");
    for (filters, blocks) in [(64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)] {
        text.conv(filters, 3, 2, "leaky");
        (0..blocks).for_each(|_| {
            text.residual(filters / 2, filters, "leaky");
        });
    }
    text.pairs(3, 512).head();
    for (filters, earlier) in [(256, 61), (128, 36)] {
        text.route("-4").conv(filters, 1, 1, "leaky").section("[upsample]\nstride=2");
        text.route(&format!("-1, {earlier}")).pairs(3, filters).head();
    }
    text.0
}

/// Source: the layer list of the published yolov4.cfg (Bochkovskiy et al. 2020, section 3.4).
fn yolov4() -> String {
    let mut text = Text::new(608);
    text.conv(32, 3, 1, "mish").conv(64, 3, 2, "mish").conv(64, 1, 1, "mish").route("-2").conv(64, 1, 1, "mish");
    text.residual(32, 64, "mish").conv(64, 1, 1, "mish").route("-1,-7").conv(64, 1, 1, "mish");
    for (filters, blocks) in [(128, 2), (256, 8), (512, 8), (1024, 4)] {
        let half = filters / 2;
        text.conv(filters, 3, 2, "mish").conv(half, 1, 1, "mish").route("-2").conv(half, 1, 1, "mish");
        (0..blocks).for_each(|_| {
            text.residual(half, half, "mish");
        });
        text.conv(half, 1, 1, "mish").route(&format!("-1,-{}", 3 * blocks + 4)).conv(filters, 1, 1, "mish");
    }
    text.pairs(1, 512).conv(512, 1, 1, "leaky");
    text.section("[maxpool]\nstride=1\nsize=5").route("-2").section("[maxpool]\nstride=1\nsize=9").route("-4");
    text.section("[maxpool]\nstride=1\nsize=13").route("-1,-3,-5,-6").pairs(1, 512).conv(512, 1, 1, "leaky");
    for (filters, earlier) in [(256, 85), (128, 54)] {
        text.conv(filters, 1, 1, "leaky").section("[upsample]\nstride=2").route(&earlier.to_string());
        text.conv(filters, 1, 1, "leaky").route("-1, -3").pairs(2, filters).conv(filters, 1, 1, "leaky");
    }
    text.conv(256, 3, 1, "leaky").head();
    for (filters, earlier) in [(256, 16), (512, 37)] {
        text.route("-4").conv(filters, 3, 2, "leaky").route(&format!("-1, -{earlier}")).pairs(3, filters).head();
    }
    text.0
}

/// Source: the layer list of the published yolov4-tiny.cfg.
fn yolov4_tiny() -> String {
    let mut text = Text::new(416);
    text.conv(32, 3, 2, "leaky").conv(64, 3, 2, "leaky");
    for filters in [64, 128, 256] {
        let half = filters / 2;
        text.conv(filters, 3, 1, "leaky").section("[route]\nlayers=-1\ngroups=2\ngroup_id=1");
        text.conv(half, 3, 1, "leaky").conv(half, 3, 1, "leaky").route("-1,-2").conv(filters, 1, 1, "leaky");
        text.route("-6,-1").section("[maxpool]\nsize=2\nstride=2");
    }
    text.conv(512, 3, 1, "leaky").pairs(1, 256).head();
    text.route("-4").conv(128, 1, 1, "leaky").section("[upsample]\nstride=2").route("-1, 23");
    text.conv(256, 3, 1, "leaky").head();
    text.0
}

#[test]
fn published_networks_need_exactly_their_published_weights() {
    // Name, cfg, bytes of the published weights file, columns of its heads' grids.
    let networks = [
        ("yolov3", yolov3(), 248_007_048, vec![13, 26, 52]),
        ("yolov4", yolov4(), 257_717_640, vec![76, 38, 19]),
        ("yolov4-tiny", yolov4_tiny(), 24_251_276, vec![13, 26]),
    ];
    for (name, text, bytes, columns) in networks {
        let cfg = Cfg::parse(&text, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        let got: Vec<_> = cfg.heads().map(|(layer, _)| layer.output.width).collect();
        assert_eq!(got, columns, "{name}");
        let header = [[0u8, 0, 0, 0], [2, 0, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
        let Err(WeightsError::Missing { expected, .. }) = weights::folded(&cfg, &header) else { panic!("{name}") };
        assert_eq!(4 * expected + header.len(), bytes, "{name}");
    }
}

#[test]
fn the_golden_network_has_every_kind_of_layer() {
    let cfg = Cfg::parse(include_str!("golden/darknet_layers.cfg"), None).unwrap();
    let has = |wanted: fn(&LayerKind) -> bool| cfg.layers.iter().any(|layer| wanted(&layer.kind));
    assert!(has(|kind| matches!(kind, LayerKind::Identity)));
    assert!(has(|kind| matches!(kind, LayerKind::Upsample { .. })));
    assert!(has(|kind| matches!(kind, LayerKind::Shortcut { .. })));
    assert!(has(|kind| matches!(kind, LayerKind::MaxPool(_))));
    assert!(has(|kind| matches!(kind, LayerKind::Route { groups: 2, .. })));
    assert!(has(|kind| matches!(kind, LayerKind::Conv(conv) if conv.groups == 2)));
}

#[cfg(feature = "torch")]
mod on_libtorch {
    use super::*;
    use eyeline::torch::{
        darknet::network::DarknetNetwork,
        runtime::{Inference, Network},
    };
    use tch::{Device, Tensor};

    const SIDE: usize = 32;

    fn network() -> DarknetNetwork {
        let cfg = Cfg::parse(include_str!("golden/darknet_layers.cfg"), None).unwrap();
        let folded = weights::folded(&cfg, include_bytes!("golden/darknet_layers.weights")).unwrap();
        DarknetNetwork::new(&cfg, &folded, Device::Cpu).unwrap()
    }

    /// The input of the generator, once a picture.
    fn input(pictures: usize) -> Tensor {
        let value = |i: usize| {
            let (row, column, channel) = (i / (3 * SIDE), i / 3 % SIDE, i % 3);
            ((7 * row + 13 * column + 101 * channel) % 251) as f32 / 251.0
        };
        let values: Vec<f32> = (0..SIDE * SIDE * 3).map(value).collect();
        let one = Tensor::from_slice(&values).reshape([1, SIDE as i64, SIDE as i64, 3]).permute([0, 3, 1, 2]);
        let copies: Vec<_> = (0..pictures).map(|_| one.shallow_clone()).collect();
        Tensor::cat(&copies, 0)
    }

    #[test]
    fn every_kind_of_layer_agrees_with_opencv() {
        let _inference = Inference::begin();
        let outputs = network().forward(&input(1)).unwrap();
        let expected: Vec<Vec<f32>> = include_str!("golden/darknet_layers.csv")
            .lines()
            .map(|line| line.split(',').map(|value| value.parse().unwrap()).collect())
            .collect();
        assert_eq!(outputs.len(), expected.len());
        for (output, expected) in outputs.iter().zip(&expected) {
            let got = Vec::<f32>::try_from(output.contiguous().flatten(0, -1)).unwrap();
            assert_eq!(got.len(), expected.len());
            let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            println!("differs by {worst} where values reach {largest}");
            assert!(worst <= 1e-4 * largest.max(1.0), "differs by {worst} where values reach {largest}");
        }
    }

    #[test]
    fn a_batch_of_any_size_gives_the_same_values() {
        let _inference = Inference::begin();
        let network = network();
        let alone = network.forward(&input(1)).unwrap();
        for (alone, together) in alone.iter().zip(network.forward(&input(5)).unwrap()) {
            let difference = (together - alone).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "{difference}");
        }
    }

    #[test]
    fn an_input_of_another_shape_is_an_error() {
        let _inference = Inference::begin();
        let network = network();
        for shape in [[1, 4, 32, 32], [1, 3, 1, 1]] {
            assert!(network.forward(&Tensor::zeros(shape, (tch::Kind::Float, Device::Cpu))).is_err(), "{shape:?}");
        }
    }
}
