//! Boxes and the arithmetic between them. Pure: knows neither pixels in memory nor models.

mod bbox;
mod iou;
mod polygon;

pub use bbox::BBox;
pub use iou::{intersection_area, iou};
pub use polygon::{PolygonFault, is_inside, polygon_fault};
