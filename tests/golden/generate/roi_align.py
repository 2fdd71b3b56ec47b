"""Writes `golden/roi_align.pt`: a TorchScript module that cuts regions out of a picture by torchvision's own operator, with half a
pixel between corner and middle (`aligned`, two samples a cell and axis) and without (as many samples as a cell has pixels).

    python3 roi_align.py

Written by hand (`by_hand.py`).
"""

import by_hand

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

by_hand.write("roi_align", "Regions", CODE)
