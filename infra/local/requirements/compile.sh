#!/bin/sh
# Pins the newest versions that the *.in files allow, with the hashes of every
# platform's files, for every Python from 3.10 (the oldest that MiniStack
# runs on). Needs `uv`. Read the difference before committing it.
set -eu
cd "$(dirname "$0")"

compile() {
    name=$1
    shift
    uv pip compile --quiet --universal --generate-hashes --upgrade --no-header \
        --no-emit-index-url --python-version 3.10 "$@" "$name.in" --output-file "$name.txt"
}

# Wheels only: nothing but the classifier's package runs code while it is installed.
compile stage --only-binary :all: --emit-build-options
compile checks --only-binary :all: --emit-build-options
compile scan --only-binary :all: --emit-build-options
compile cross --only-binary :all: --emit-build-options
# Files are all that is used of these packages.
compile weights --no-deps
