# What the scripts share: saying what happens, and checking the machine before time is spent on it.
# shellcheck shell=bash

# One line for people, on stderr: what is wrong and what to do. Ends the script.
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# A Rust toolchain that can build this tree, and a C compiler for the two C libraries in it (aws-lc and SQLite).
need_compilers() {
  command -v cargo >/dev/null || fail "no cargo found: install the Rust toolchain with rustup, then run this again"
  cargo --version >/dev/null 2>&1 ||
    fail "cargo does not start: rustup could not provide the toolchain of rust-toolchain.toml (is there a network?)"
  printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' | cc -x c - -o /dev/null 2>/dev/null ||
    fail "no working C compiler found: on Debian, apt-get install gcc libc6-dev"
}

# need_space FOLDER MIB: the file system that will hold FOLDER has that much free.
need_space() {
  local folder=$1 needed=$2 existing=$1 free
  while [ ! -d "$existing" ]; do existing=$(dirname "$existing"); done
  free=$(free_mib "$existing")
  [ "$free" -ge "$needed" ] || fail "the disk is full: $folder needs $needed MiB, $free MiB are free"
}

free_mib() {
  df --output=avail --block-size=1M "$1" | tail -n 1 | tr -d ' '
}

# Downloads what Cargo.lock names. A machine that has it all already needs no network.
fetch_crates() {
  cargo fetch --locked --quiet --offline 2>/dev/null && return
  local messages
  messages=$(cargo fetch --locked --quiet 2>&1) && return
  fail "the crates in Cargo.lock cannot be downloaded, is there a network? ($(printf '%s\n' "$messages" | tail -n 1 | sed 's|^ *||'))"
}
