#!/usr/bin/env bash
# Installs libtorch: for the CPU a slim copy in .eyeline/libtorch (0.5 GB), with TORCH=cuda everything that CUDA needs
# in .eyeline/libtorch-cuda (4 GB). Does nothing where LIBTORCH names another one.
#
# Both come from the standard wheels: there is no package of the CPU half alone. Which Python runs pip does not matter,
# the wheels are always those of one Python and platform, and nothing of Python in them is used.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

torch=${TORCH:-cpu}
case $torch in
  cpu) name=libtorch home=$store/libtorch download="0.5 GB" megabytes=1200 ;;
  cuda) name=libtorch-cuda home=$store/libtorch-cuda/torch download="2.7 GB" megabytes=5500 ;;
  *) fail "TORCH=$torch: unknown" "TORCH is cpu (the default) or cuda" ;;
esac

# What the program needs of the wheels; everything else in them serves Python or CUDA.
slim=(torch/lib/libc10.so torch/lib/libtorch_cpu.so torch/lib/libgomp.so.1 nvidia/cu13/lib/libcudart.so.13
  nvidia/cu13/lib/libcupti.so.13)

download_wheels() {
  local platform platforms=()
  for platform in manylinux_2_28 manylinux_2_27 manylinux_2_25 manylinux_2_18 manylinux2014; do
    platforms+=(--platform "${platform}_x86_64")
  done
  attempt pip_download "$name.txt" --only-binary :all: --implementation cp --python-version 3.11 --abi cp311 \
    --abi abi3 --abi none "${platforms[@]}" || fail_fetch "$name" pip
}

# unpack FOLDER MEMBER...: each wheel into FOLDER, removed as soon as it is unpacked. A wheel without the members is fine.
unpack() {
  local folder=$1 wheel
  shift
  for wheel in "$work"/*.whl; do
    attempt unzip -q -o "$wheel" "$@" -d "$folder" || [ $? = 11 ] || fail_fetch "$(basename "$wheel")" unzip
    rm "$wheel"
  done
}

# torch-sys links to libtorch.so by name; the real one only pulls in the CUDA half.
stub_library() {
  c++ -shared -o "$1" -Wl,-soname,libtorch.so -x c++ /dev/null ||
    fail "$1: the C++ compiler c++ could not make it" "check that c++ works (Debian: g++)"
}

arrange_cpu() {
  local new=$work/libtorch file
  mkdir -p "$new/lib" "$new/licenses"
  unpack "$work/wheels" "${slim[@]}" 'torch/include/*' '*.dist-info/licenses/*'
  for file in "${slim[@]}"; do
    mv "$work/wheels/$file" "$new/lib/" || fail "$file is in none of the wheels" "report this: the pins do not fit"
  done
  mv "$work/wheels/torch/include" "$new/include"
  mv "$work/wheels"/*.dist-info "$new/licenses/"
  stub_library "$new/lib/libtorch.so"
  echo "$version" >"$new/build-version" # torch-sys compares it with the version it was made for
}

arrange_cuda() {
  unpack "$work/libtorch-cuda"
}

version=$(sed -n 's/^torch==\([0-9.]*\) .*/\1/p' "$pins/$name.txt")
# Named after the pins, so that a change of them installs anew.
stamp=$(grep -v '^#' "$pins/$name.txt" | sha256sum | cut -d ' ' -f 1)

if [ -n "${LIBTORCH_USE_PYTORCH:-}" ]; then
  exit 0 # torch-sys then asks Python for its torch
fi
if [ "${LIBTORCH:-$home}" != "$home" ]; then
  [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] || fail "LIBTORCH=$LIBTORCH: has no lib/libtorch_cpu.so" \
    "point LIBTORCH at a libtorch $version, or unset it and have one installed"
  exit 0
fi
if [ "$(cat "$store/$name/pins" 2>/dev/null)" = "$stamp" ] && [ -s "$home/lib/libtorch_cpu.so" ]; then
  exit 0
fi
[ "$(uname -sm)" = "Linux x86_64" ] || fail "libtorch: packages are pinned for Linux x86_64 only, this is $(uname -sm)" \
  "install libtorch $version yourself and set LIBTORCH to its folder"

open_work
need_space "$megabytes" "$name"
say "fetching libtorch $version for $torch with pip ($download)"
download_wheels
"arrange_$torch"
echo "$stamp" >"$work/$name/pins"
# Also a link, even one to nowhere: the link makes way, what it points to stays.
if [ -e "$store/$name" ] || [ -L "$store/$name" ]; then
  mv -T "$store/$name" "$work/replaced"
fi
mv -T "$work/$name" "$store/$name"
say "installed .eyeline/$name"
