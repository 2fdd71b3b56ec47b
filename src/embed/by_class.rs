//! Several embedders side by side: each class of objects goes to its own.

use super::{Crop, Embedder, Embedding};
use crate::detect::{ClassId, InferError};

/// Hands crops on by their class.
///
/// Embeddings of different embedders say nothing about one another; trackers compare within a class only.
pub struct ByClass {
    /// The first is for every class that is not named.
    embedders: Vec<Box<dyn Embedder>>,
    /// Classes and which embedder is theirs, `None` for no embedder.
    of_class: Vec<(ClassId, Option<usize>)>,
}

impl ByClass {
    /// `embedders`: at least one, the first for every class that `of_class` does not name; `of_class` counts from 0.
    ///
    /// `None` where there is no embedder, or not the one of a class.
    pub fn new(embedders: Vec<Box<dyn Embedder>>, of_class: Vec<(ClassId, Option<usize>)>) -> Option<Self> {
        let is_there = |(_, index): &(ClassId, Option<usize>)| index.is_none_or(|index| index < embedders.len());
        (!embedders.is_empty() && of_class.iter().all(is_there)).then_some(Self { embedders, of_class })
    }

    fn embedder_of(&self, class: ClassId) -> Option<usize> {
        self.of_class.iter().find(|(named, _)| *named == class).map_or(Some(0), |(_, index)| *index)
    }
}

impl Embedder for ByClass {
    fn dim(&self) -> usize {
        self.embedders[0].dim()
    }

    fn embed(&mut self, crops: &[Crop<'_>], out: &mut Vec<Option<Embedding>>) -> Result<(), InferError> {
        out.clear();
        out.resize(crops.len(), None);
        let mut part = Vec::new();
        for index in 0..self.embedders.len() {
            let is_his = |place: &usize| self.embedder_of(crops[*place].class) == Some(index);
            let places: Vec<usize> = (0..crops.len()).filter(is_his).collect();
            let his: Vec<Crop<'_>> = places.iter().map(|&place| crops[place]).collect();
            if his.is_empty() {
                continue;
            }
            self.embedders[index].embed(&his, &mut part)?;
            for (place, embedding) in places.into_iter().zip(part.drain(..)) {
                out[place] = embedding;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::{Frame, ImageSize},
        geometry::BBox,
    };

    /// Says its name and the place of a crop among those it was given.
    struct Named(f32);

    impl Embedder for Named {
        fn dim(&self) -> usize {
            2
        }

        fn embed(&mut self, crops: &[Crop<'_>], out: &mut Vec<Option<Embedding>>) -> Result<(), InferError> {
            out.clear();
            out.extend((0..crops.len()).map(|place| Some(Embedding([self.0, place as f32].into()))));
            Ok(())
        }
    }

    #[test]
    fn each_class_goes_to_its_own() {
        let frame = Frame::alone(ImageSize { width: 1, height: 1 }, vec![0; 3], 3);
        let crops: Vec<_> = [2, 0, 1, 2, 3]
            .map(|class| Crop { frame: &frame, bbox: BBox::new(0.0, 0.0, 1.0, 1.0), class: ClassId(class) })
            .into();
        let embedders: Vec<Box<dyn Embedder>> = vec![Box::new(Named(10.0)), Box::new(Named(20.0))];
        let mut by_class = ByClass::new(embedders, vec![(ClassId(2), Some(1)), (ClassId(1), None)]).unwrap();
        let mut out = Vec::new();
        by_class.embed(&crops, &mut out).unwrap();
        let got: Vec<_> = out.iter().map(|e| e.as_ref().map(|e| (e.0[0], e.0[1]))).collect();
        assert_eq!(got, [Some((20.0, 0.0)), Some((10.0, 0.0)), None, Some((20.0, 1.0)), Some((10.0, 1.0))]);
    }

    #[test]
    fn an_embedder_must_be_there() {
        assert!(ByClass::new(vec![], vec![]).is_none());
        assert!(ByClass::new(vec![Box::new(Named(1.0))], vec![(ClassId(0), Some(1))]).is_none());
    }
}
