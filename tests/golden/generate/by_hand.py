"""TorchScript modules written by hand, because torchvision, whose operators they call, comes with gigabytes of torch: an archive
holds the module's source and its pickled state. Used by the generators beside it."""

import pathlib
import zipfile


def write(name, module, code):
    """Writes `golden/NAME.pt`, whose class `module` is the one of `code`."""
    # An object of that class, made without arguments, whose one attribute `training` is false.
    state = b"\x80\x02c__torch__\n" + module.encode() + b"\n)\x81}(X\x08\x00\x00\x00training\x89ub."
    no_constants = b"\x80\x02)."
    parts = {"data.pkl": state, "code/__torch__.py": code, "constants.pkl": no_constants, "version": "3\n"}
    target = pathlib.Path(__file__).parents[1] / f"{name}.pt"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for part, content in parts.items():
            archive.writestr(zipfile.ZipInfo(f"{name}/{part}"), content)
