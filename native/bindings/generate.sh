#!/usr/bin/env bash
# Writes bindings/ anew: one class for each function of a symbol list, made by jextract from the library's own headers.
#
# usage: native/bindings/generate.sh OPENBLAS_JAR [CUDA_INCLUDE_FOLDER]
#   OPENBLAS_JAR  the artifact org.bytedeco:openblas, classifier linux-x86_64 (its headers are read, its version recorded)
#   CUDA_INCLUDE_FOLDER  the folder of cuda_runtime_api.h, cublas_v2.h and cusolverDn.h, of CUDA 13; without it the CUDA
#                 bindings stay as they are
#   JEXTRACT      the jextract to use; else the one on the PATH. Its output must compile with --release 22.
#
# Every `RET name(ARGS);` of the list is turned into `typedef RET (*name)(ARGS);` before jextract sees it. So each class
# calls through an address that the caller looked up in a library of the caller's choosing: two BLAS libraries in one
# process never mix, and a missing library poisons no static initialiser.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$here/../.." && pwd)/bindings
jextract=${JEXTRACT:-jextract}
command -v "$jextract" >/dev/null || { echo "generate.sh: no jextract on the PATH and JEXTRACT is not set" >&2; exit 2; }
for f in "${1:-}" ${2:+"$2/cublas_v2.h"}; do
  [ -f "$f" ] || { echo "usage: generate.sh OPENBLAS_JAR [CUDA_INCLUDE_FOLDER]" >&2; exit 2; }
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# generate NAME INCLUDE_FOLDER VERSION: NAME.h and NAME.symbols become the package org.lora4j.bindings.NAME
generate() {
  local name=$1 include=$2 version=$3 defines=() includes=() symbols s package=org/lora4j/bindings/$1 read="$tmp/$1_functions.h"
  symbols=$(sed 's/#.*//; s/^constant .*//' "$here/$name.symbols" | xargs)
  for s in $(sed -n 's/^constant //p' "$here/$name.symbols"); do includes+=(--include-constant "$s"); done
  for s in $symbols; do defines+=("-D$s=(*$s)"); includes+=(--include-typedef "$s"); done
  gcc -E -P -I "$include" "${defines[@]}" "$here/$name.h" | tr '\n' ' ' | sed 's/;/;\n/g' >"$tmp/declarations"
  {
    for s in $symbols; do echo "#define $s declared_$s"; done      # the headers' own functions, out of the way
    echo "#include \"$here/$name.h\""
    for s in $symbols; do
      echo "#undef $s"
      grep -E "\(\*$s\) *\(" "$tmp/declarations" | head -1 | sed -E 's/^ *(extern )?/typedef /' | grep . \
        || { echo "generate.sh: no prototype of $s in $name.h" >&2; exit 1; }
    done
  } >"$read"
  rm -rf "$out/$package"
  "$jextract" --target-package "${package//\//.}" --header-class-name "${name}_h" "${includes[@]}" -I "$include" --output "$tmp/out" "$read"
  mkdir -p "$out/$package"
  for f in "$tmp/out/$package"/*.java; do
    { echo "// $version; $("$jextract" --version 2>&1 | head -1); made by native/bindings/generate.sh"; cat "$f"; } >"$out/$package/${f##*/}"
  done
}

unzip -qo "$1" 'org/bytedeco/openblas/*/include/*' -d "$tmp/openblas"
include=$(echo "$tmp"/openblas/org/bytedeco/openblas/*/include)
version=$(sed -n 's/^#define OPENBLAS_VERSION *" *\(.*[^ ]\) *".*/\1/p' "$include/openblas_config.h")
generate openblas "$include" "$version ($(basename "$1"))"
generate kernels "$here/../kernels" "lora4j kernels (native/kernels/lora4j_kernels.h)"

[ -n "${2:-}" ] || { echo "generate.sh: no CUDA_INCLUDE_FOLDER given, the bindings of CUDA stay as they are"; exit 0; }
macros=$(gcc -E -dM -I "$2" "$here/cuda.h")
value() { sed -n "s/^#define $1 //p" <<<"$macros"; }
version() { echo "$(value "$1_VER_MAJOR").$(value "$1_VER_MINOR").$(value "$1_VER_PATCH")"; }
runtime=$(value CUDART_VERSION)
generate cuda "$2" "CUDA $((runtime / 1000)).$((runtime % 1000 / 10)) runtime, cuBLAS $(version CUBLAS), cuSOLVER $(version CUSOLVER)"
