"""Writes `golden/roi_align.pt`: a TorchScript module that cuts regions out of a picture by torchvision's own operator, with half a
pixel between corner and middle (`aligned`, two samples a cell and axis) and without (as many samples as a cell has pixels).

    python3 roi_align.py

Written by hand, as `torchvision_list.py`, which says why and how.
"""

import pathlib
import zipfile

CODE = """class Regions(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def forward(self: __torch__.Regions,
    pictures: Tensor) -> Tuple[Tensor, Tensor]:
    aligned = torch.tensor([[0., 8., 4., 40., 28.]])
    plain = torch.tensor([[0., 8., 4., 40., 28.], [0., 8., 4., 8., 4.], [0., 200., 4., 240., 28.]])
    return (ops.torchvision.roi_align(pictures, aligned, 0.5, 2, 2, 2, True), ops.torchvision.roi_align(pictures, plain, 0.5, 2, 2, -1, False))
"""

# An object of that class, made without arguments, whose one attribute `training` is false.
STATE = b"\x80\x02c__torch__\nRegions\n)\x81}(X\x08\x00\x00\x00training\x89ub."

NO_CONSTANTS = b"\x80\x02)."

target = pathlib.Path(__file__).parents[1] / "roi_align.pt"
with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
    parts = {"data.pkl": STATE, "code/__torch__.py": CODE, "constants.pkl": NO_CONSTANTS, "version": "3\n"}
    for name, content in parts.items():
        archive.writestr(zipfile.ZipInfo("roi_align/" + name), content)
