#!/bin/sh
# Builds one library of native/ and puts it where it is wanted. Called by Maven, in the profiles "kernels" and "simcuda"
# of pom.xml. Without CMake or a C compiler it says so and leaves it at that: both libraries are used where they are.
#
# usage: native/build.sh LIBRARY BUILD_FOLDER TARGET_FOLDER [CMAKE_OPTION...]
#   LIBRARY  lora4j_kernels or simcuda
set -eu
here=$(cd "$(dirname "$0")" && pwd)
library=$1
build=$2
target=$3/lib$library.so
folder=$3
shift 3

missing() {
    echo "lora4j: lib$library.so is not built ($1); what needs it does without, tests are skipped"
    rm -f "$target"
    exit 0
}

command -v cmake >/dev/null || missing "no cmake"
command -v "${CC:-cc}" >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || missing "no C compiler"
command -v make >/dev/null || command -v ninja >/dev/null || missing "neither make nor ninja"
command -v make >/dev/null || export CMAKE_GENERATOR=Ninja

mkdir -p "$build" "$folder"
if ! { cmake -S "$here" -B "$build" "$@" && cmake --build "$build" --target "$library"; } >"$build/log" 2>&1; then
    cat "$build/log" >&2
    echo "lora4j: lib$library.so could not be built; mvn '-P!kernels' and '-P!simcuda' do without the two libraries" >&2
    exit 1
fi
cmp -s "$build/lib$library.so" "$target" || cp "$build/lib$library.so" "$target"
