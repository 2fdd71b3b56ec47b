"""Writes `golden/torchvision_list.pt`: a TorchScript module that gives a list of detections the way torchvision's scripted detectors
do, suppression by torchvision's own operator included. Three boxes, of which the second lies on the first; their scores are 0.5, 0.4
and 0.25 of the picture's mean.

    python3 torchvision_list.py

Written by hand (`by_hand.py`).
"""

import by_hand

CODE = """class Detector(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def forward(self: __torch__.Detector,
    images: List[Tensor]) -> Tuple[Dict[str, Tensor], List[Dict[str, Tensor]]]:
    mean = torch.mean(images[0])
    boxes = torch.tensor([[2., 1., 12., 11.], [3., 1., 13., 11.], [30., 5., 50., 25.]])
    scores = torch.mul(torch.tensor([0.5, 0.40000000000000002, 0.25]), mean)
    labels = torch.tensor([1, 1, 3])
    kept = ops.torchvision.nms(boxes, scores, 0.5)
    losses = annotate(Dict[str, Tensor], {})
    found = {"boxes": torch.index_select(boxes, 0, kept), "labels": torch.index_select(labels, 0, kept), "scores": torch.index_select(scores, 0, kept)}
    return (losses, [found])
"""

by_hand.write("torchvision_list", "Detector", CODE)
