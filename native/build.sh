#!/bin/sh
# Builds liblora4j_kernels and puts it where the classes are. Called by Maven, in the profile "kernels" of pom.xml.
# Without CMake or a C compiler it says so and leaves it at that: the library is used where it is, and not missed.
#
# usage: native/build.sh BUILD_FOLDER TARGET_FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$1
target=$2/liblora4j_kernels.so

missing() {
    echo "lora4j: native kernels are not built ($1); the host device will use BLAS alone"
    rm -f "$target"
    exit 0
}

command -v cmake >/dev/null || missing "no cmake"
command -v "${CC:-cc}" >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || missing "no C compiler"
command -v make >/dev/null || command -v ninja >/dev/null || missing "neither make nor ninja"
command -v make >/dev/null || export CMAKE_GENERATOR=Ninja

mkdir -p "$build" "$2"
if ! { cmake -S "$here" -B "$build" && cmake --build "$build"; } >"$build/log" 2>&1; then
    cat "$build/log" >&2
    echo "lora4j: native kernels could not be built; mvn '-P!kernels' does without" >&2
    exit 1
fi
cmp -s "$build/liblora4j_kernels.so" "$target" || cp "$build/liblora4j_kernels.so" "$target"
